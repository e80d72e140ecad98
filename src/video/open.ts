/**
 * From anything that holds a video to its frames. Formats are recognised by their content.
 */
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
import { openContainer } from './container/container.ts'
import { imageKind } from './picture/image.ts'
import { listImages } from './picture/imageList.ts'
import { openImages } from './picture/images.ts'
import { openRaw, openY4m } from './raw/raw.ts'
import { Y4M_MAGIC } from './raw/y4m.ts'
import { capital, type Media } from './source/media.ts'
import { onServer, openMedia } from './source/openMedia.ts'
import { makeVideo, type Reading, type Video } from './video.ts'

/** How to open a video. */
export interface OpenOptions {
  /**
   * `auto` (default): in Node, Deno and Bun node-webcodecs, then ffmpeg, then FFmpeg in
   * WebAssembly; in a browser its WebCodecs if they hand out planes, then FFmpeg in WebAssembly,
   * then WebCodecs as they are. `native` (node-webcodecs or WebCodecs), `ffmpeg` and `wasm` take
   * only that.
   */
  readonly decoder?: DecoderChoice
  /**
   * Where `trecvit/decoder.wasm`, FFmpeg in WebAssembly, is served. Default: beside the code that
   * loads it.
   */
  readonly decoderUrl?: string | URL
  /** Ends opening and reading, with the signal's reason; everything is freed. */
  readonly signal?: AbortSignal
  /** For bytes that do not say what they are. `y4m` refuses all that is not y4m. */
  readonly format?: 'y4m' | RawFormat
  /**
   * Pictures a second of raw video and of sequences of pictures, which have no times of their own.
   * Default 25, as in ffmpeg.
   */
  readonly fps?: number
}

const OPEN_OPTIONS: OptionNames<OpenOptions> = {
  decoder: 1,
  decoderUrl: 1,
  signal: 1,
  format: 1,
  fps: 1,
}

/**
 * Opens a video: mp4, mov, webm, mkv, y4m, raw RGB, PNG and JPEG; a path, URL, Blob, bytes, a
 * stream, a list of pictures, a directory of pictures, or a pattern like `frame_%04d.png` of their
 * paths. The first picture is decoded at once, so that a video that opens can be read.
 * @throws TrecvitError when it is missing, empty, cut short, damaged, of an unknown kind, without
 * video, or nothing here decodes it
 * @example
 * const video = await openVideo('clip.mp4')
 * for await (const frame of video) { }
 */
export async function openVideo(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions = {},
): Promise<Video> {
  checkOptions('openVideo', options, OPEN_OPTIONS)
  const { signal, fps = 25 } = options
  signal?.throwIfAborted()
  if (typeof ReadableStream === 'undefined') {
    throw new TrecvitError(
      'A video needs the global class ReadableStream, which jsdom lacks: ' +
        'set it to that of "node:stream/web"',
    )
  }
  if (!(fps > 0 && Number.isFinite(fps)))
    throw new TrecvitError(`fps must be a positive number, not ${fps}`)
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true, signal: stop.signal })
  try {
    return makeVideo(await read(source, options, fps, stop.signal), stop)
  } catch (error) {
    stop.abort()
    throw error
  }
}

async function read(
  source: VideoSource | readonly VideoSource[],
  { decoder = 'auto', decoderUrl, format }: OpenOptions,
  fps: number,
  signal: AbortSignal,
): Promise<Reading> {
  if (Array.isArray(source)) return openImages(source, null, fps, signal)
  const single = source as VideoSource
  const files = typeof single === 'string' && onServer() ? await listImages(single) : null
  if (files !== null) return openImages(files, null, fps, signal)
  const media = await openMedia(single, signal)
  if (typeof format === 'object') return openRaw(media, format, fps, signal)
  if (format === 'y4m' || startsWith(media.head, Y4M_MAGIC)) return openY4m(media, signal)
  if (imageKind(media.head) !== null) return openImages([single], media, fps, signal)
  return (await openContainer(media, { choice: decoder, url: decoderUrl }, signal)) ?? refuse(media)
}

function startsWith(head: Uint8Array, magic: string, at = 0): boolean {
  return String.fromCharCode(...head.subarray(at, at + magic.length)) === magic
}

/** Kinds that people try, so that the message can name them. */
function refuse({ name, head }: Media): never {
  const kind = startsWith(head, 'AVI ', 8)
    ? 'an AVI file'
    : startsWith(head, 'FLV')
      ? 'a Flash video'
      : startsWith(head, 'OggS')
        ? 'an Ogg file'
        : startsWith(head, '\x30\x26\xb2\x75')
          ? 'a Windows Media file'
          : startsWith(head, 'GIF8')
            ? 'a GIF'
            : head[0] === 0x47 && head.length > 3
              ? 'an MPEG transport stream, by its first byte'
              : null
  const advice = 'convert it with ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4'
  if (kind !== null)
    throw new TrecvitError(`${capital(name)} is ${kind}, which is not read: ${advice}`)
  throw new TrecvitError(
    `${capital(name)} is no video of a known kind (mp4, mov, webm, mkv, y4m, PNG, JPEG): ${advice}`,
  )
}
