/**
 * Reads files with the ffmpeg process: by path, or through a pipe.
 */
import type { Writable } from 'node:stream'
import {
  type FfmpegPicture,
  FfmpegProcess,
  outputArguments,
  writeTo,
} from '../decoder/ffmpegProcess.ts'
import { ALL_PIXEL_FORMATS } from '../decoder/pixelFormat.ts'
import { DecoderFault } from '../decoder/track.ts'
import type { Media } from '../source/media.ts'
import type { Job, Read, Reader, TrackInfo } from './reader.ts'

function argumentsFor({ media, format, onError }: Job): string[] {
  const demuxer = format.name === 'webp' ? 'webp_pipe' : format.demuxer
  const source = media.path === undefined ? 'pipe:0' : `file:${media.path}`
  return [
    ...['-hide_banner', '-nostats', '-loglevel', 'level+verbose', '-noautorotate'],
    ...(onError === 'skip' ? [] : ['-xerror']),
    // With several threads, damage could be reported before earlier pictures are output, and the
    // concealed pictures would depend on timing.
    ...(onError === 'error' ? [] : ['-threads', '1']),
    // Without bitexact, the inverse transform rounds differently on each CPU.
    ...['-flags', '+bitexact'],
    // A file must not make ffmpeg open other files or URLs.
    ...['-protocol_whitelist', 'file,pipe', '-f', demuxer, '-i', source, '-map', '0:V:0'],
    ...outputArguments(ALL_PIXEL_FORMATS),
  ]
}

/**
 * Opens a file with the ffmpeg process.
 * @throws DecoderFault if ffmpeg is missing or cannot read the file
 */
export async function openByProcess(job: Job): Promise<Reader> {
  const { media, format, signal } = job
  if (format.demuxer === 'webp_anim')
    throw new DecoderFault('ffmpeg reads animated WebP only from version 9 on', {
      progress: 'refused',
    })
  const feed = media.path === undefined ? (stdin: Writable) => pour(media, stdin) : undefined
  const ffmpeg = await FfmpegProcess.start(argumentsFor(job), signal, feed)
  try {
    const first = await ffmpeg.next()
    if (first === null) throw new DecoderFault('ffmpeg gives no picture')
    return new ProcessReader(ffmpeg, first, job)
  } catch (error) {
    await ffmpeg.close()
    throw error
  }
}

async function pour(media: Media, stdin: Writable): Promise<void> {
  const reader = (await media.stream()).getReader()
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      await writeTo(stdin, value)
    }
    stdin.end()
  } finally {
    await reader.cancel().catch(() => {})
  }
}

class ProcessReader implements Reader {
  readonly facts: TrackInfo
  readonly #ffmpeg: FfmpegProcess
  readonly #skips: boolean
  /**
   * Whether a logged error counts as damage. It does not in a broadcast, which may start between
   * key frames.
   */
  readonly #isStrict: boolean
  #first: FfmpegPicture | null
  /** Number of errors already reported. */
  #errors = 0

  constructor(ffmpeg: FfmpegProcess, first: FfmpegPicture, { format, onError }: Job) {
    this.#ffmpeg = ffmpeg
    this.#skips = onError === 'skip'
    this.#isStrict = !this.#skips && !format.isBroadcast
    this.#first = first
    this.facts = trackInfoOf(ffmpeg)
  }

  async next(): Promise<Read | null> {
    const first = this.#first
    const next = first ?? (await this.#ffmpeg.next())
    this.#first = null
    if (next === null) return null
    const { known, planes, picture } = next
    const { width, height, time, aspect, errors } = picture
    // Some decoders conceal damage and only log an error. -xerror does not stop at it.
    if (errors > 0 && this.#isStrict && first === null)
      throw new DecoderFault(`ffmpeg reports ${this.#ffmpeg.log.error}`)
    return { ...known, width, height, planes, time, aspect, damage: this.#since(errors) }
  }

  get damage(): string | null {
    return this.#since(this.#ffmpeg.log.errors)
  }

  close(): Promise<void> {
    return this.#ffmpeg.close()
  }

  #since(errors: number): string | null {
    const { probeErrors, lastError } = this.#ffmpeg.log
    const isNew = this.#skips && errors > this.#errors
    const place = errors === probeErrors ? ' while probing the first seconds' : ''
    this.#errors = errors
    return isNew ? `ffmpeg reports ${lastError}${place}` : null
  }
}

/** Parses `mpeg4 (Simple Profile) (XVID / 0x44495658), yuv420p(tv, left), 320x240`. */
const CODEC = /^(\w+)(?: \(([^()[\]/]*)\))?/
const FORMAT = /, \w+\(([^()]*)\), \d+x\d+/
const SITINGS = ['left', 'center', 'topleft'] as const

function trackInfoOf({ log }: FfmpegProcess): TrackInfo {
  const text = log.streams.get(log.stream) ?? ''
  const [, codec = 'unknown', profile = null] = CODEC.exec(text) ?? []
  const tags = (FORMAT.exec(text)?.[1] ?? '').split(', ')
  const range = tags.find((tag) => tag === 'tv' || tag === 'pc')
  const matrix = tags.map((tag) => tag.split('/')[0]!).find((tag) => MATRIX.test(tag))
  return {
    codec,
    profile,
    duration: log.duration,
    fps: log.fps,
    matrix: matrix ?? null,
    fullRange: range === undefined ? null : range === 'pc',
    siting: SITINGS.find((siting) => tags.includes(siting)) ?? null,
    rotation: log.rotation,
    isMirrored: false,
  }
}

/** Prefixes of FFmpeg's names of colour matrices. */
const MATRIX = /^(bt|smpte|fcc|gbr|ycgco|chroma-|ictcp)/
