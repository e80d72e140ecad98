/**
 * Formats that FFmpeg demuxes, recognised by their first bytes.
 */
import { isIsobmff } from '../isobmff/file.ts'
import { isMatroska } from '../matroska/file.ts'
import { capital, type Media } from '../source/media.ts'

/** A container format. */
export interface Format {
  /** Name of the container. */
  readonly name: string
  /** Name of FFmpeg's demuxer. */
  readonly demuxer: string
  /** Name with article, for messages. */
  readonly label: string
  /**
   * Whether timestamps may jump within a file: each part of a broadcast has its own clock.
   */
  readonly isBroadcast?: boolean
}

const MPEG_TS: Format = {
  name: 'mpegts',
  demuxer: 'mpegts',
  label: 'an MPEG transport stream',
  isBroadcast: true,
}
const STILL_WEBP: Format = { name: 'webp', demuxer: 'webp', label: 'a WebP picture' }

/** Formats by their magic bytes at an offset. */
const MAGICS: readonly (readonly [magic: string, at: number, format: Format])[] = [
  ['AVI ', 8, { name: 'avi', demuxer: 'avi', label: 'an AVI file' }],
  ['AVIX', 8, { name: 'avi', demuxer: 'avi', label: 'an AVI file' }],
  ['FLV', 0, { name: 'flv', demuxer: 'flv', label: 'a Flash video' }],
  [
    '\0\0\x01\xba',
    0,
    { name: 'mpegps', demuxer: 'mpeg', label: 'an MPEG program stream', isBroadcast: true },
  ],
  ['\0\0\x01\xb3', 0, { name: 'mpegvideo', demuxer: 'mpegvideo', label: 'an MPEG video stream' }],
  ['GIF87a', 0, { name: 'gif', demuxer: 'gif', label: 'a GIF' }],
  ['GIF89a', 0, { name: 'gif', demuxer: 'gif', label: 'a GIF' }],
  ['WEBP', 8, STILL_WEBP],
  ['OggS', 0, { name: 'ogg', demuxer: 'ogg', label: 'an Ogg file' }],
  [
    '\x30\x26\xb2\x75\x8e\x66\xcf\x11',
    0,
    { name: 'asf', demuxer: 'asf', label: 'a Windows Media file' },
  ],
]

/** Packet sizes of transport streams: plain, with a timestamp (Blu-ray), with a checksum (DVB). */
const PACKETS = [188, 192, 204]
const SYNC = 0x47
/** Number of packets whose first byte is checked. */
const LOOKS = 4

/** Returns the format of a file that only FFmpeg reads; null for others. */
export async function formatOf({ head, read }: Media): Promise<Format | null> {
  const text = String.fromCharCode(...head)
  const [, , format] = MAGICS.find(([magic, at]) => text.startsWith(magic, at)) ?? []
  if (format === STILL_WEBP)
    return text.startsWith('VP8X', 12) && (head[20]! & 2) !== 0
      ? { name: 'webp', demuxer: 'webp_anim', label: 'an animated WebP' }
      : STILL_WEBP
  if (format !== undefined) return format
  for (const length of PACKETS) {
    const first = length === 192 ? 4 : 0
    if (head[first] !== SYNC) continue
    // A stream provides only its first bytes.
    const bytes = read === null ? null : await read(0, first + LOOKS * length + 1)
    if (bytes === null || isEvery(bytes, first, length)) return MPEG_TS
  }
  return null
}

/** Returns FFmpeg's format of a file that mediabunny reads if it is intact; null for others. */
export function containerFormat(head: Uint8Array): Format | null {
  if (isMatroska(head)) return { name: 'mkv', demuxer: 'matroska', label: 'a Matroska file' }
  return isIsobmff(head) ? { name: 'mp4', demuxer: 'mov', label: 'an MP4 or MOV file' } : null
}

function isEvery(bytes: Uint8Array, first: number, step: number): boolean {
  if (bytes.length <= first + step) return false
  for (let at = first; at < bytes.length; at += step) if (bytes[at] !== SYNC) return false
  return true
}

/** Usual names of codecs, by FFmpeg's names. */
const CODECS: Readonly<Record<string, string>> = {
  h264: 'H.264',
  hevc: 'HEVC',
  vp8: 'VP8',
  vp9: 'VP9',
  av1: 'AV1',
  mjpeg: 'Motion JPEG',
  mpeg4: 'MPEG-4 part 2',
  mpeg1video: 'MPEG-1',
  mpeg2video: 'MPEG-2',
  msmpeg4v1: 'MS MPEG-4 v1',
  msmpeg4v2: 'MS MPEG-4 v2',
  msmpeg4v3: 'MS MPEG-4 v3 (DivX 3)',
  h263: 'H.263',
  flv1: 'Sorenson H.263',
  wmv1: 'WMV 7',
  wmv2: 'WMV 8',
  wmv3: 'WMV 9',
  rawvideo: 'uncompressed',
  gif: 'GIF',
  webp: 'WebP',
  webp_anim: 'WebP',
}

/** Returns the usual name of a codec and its profile. */
export function labelOf(codec: string, profile: string | null): string {
  const name = CODECS[codec] ?? codec
  return profile === null ? name : `${name} ${profile.replace(/ Profile$/, '')}`
}

/** Returns the beginning of a message about a file. */
export function subject({ name }: Media, { label }: Format): string {
  return `${capital(name)} is ${label}`
}
