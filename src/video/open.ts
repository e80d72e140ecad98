/**
 * Opens a video from any source. Formats are recognised by their content.
 */
import { onAbort } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import { quote } from '../base/quote.ts'
import { isStream } from '../base/realm.ts'
import type { DecoderChoice, RawFormat, VideoSource } from './choices.ts'
import { CONVERT } from './codec/kinds.ts'
import { openContainer } from './container/container.ts'
import type { DecoderOptions } from './decoder/decoders.ts'
import { containerFormat, formatOf } from './ffmpeg/formats.ts'
import { openFile } from './ffmpeg/openFile.ts'
import { imageKind } from './picture/image.ts'
import { listImages } from './picture/imageList.ts'
import { openImages } from './picture/images.ts'
import { openRaw, openY4m } from './raw/raw.ts'
import { Y4M_MAGIC } from './raw/y4m.ts'
import { capital, type Media } from './source/media.ts'
import { onServer, openMedia } from './source/openMedia.ts'
import { ON_ERROR, type OnError, skipDamage, skipPictures, stopAtDamage } from './tolerance.ts'
import { makeVideo, type Reading, type Video } from './video.ts'

/** Options for opening a video. */
export interface OpenOptions {
  /**
   * `auto` (default) tries several decoders in turn. In Node, Deno and Bun: node-webcodecs, ffmpeg,
   * FFmpeg in WebAssembly. In a browser: WebCodecs with access to planes, FFmpeg in WebAssembly,
   * WebCodecs without it. `native` (node-webcodecs or WebCodecs), `ffmpeg` and `wasm` use only that
   * one.
   */
  readonly decoder?: DecoderChoice
  /**
   * URL of `trecvit/decoder.wasm`, FFmpeg in WebAssembly. Default: beside the code that loads it.
   */
  readonly decoderUrl?: string | URL
  /** Aborts opening and reading with the signal's reason, and frees everything. */
  readonly signal?: AbortSignal
  /** Format of bytes without a recognisable header. `y4m` rejects all other formats. */
  readonly format?: 'y4m' | RawFormat
  /**
   * Frames per second of raw video and picture sequences, which have no timestamps. Default 25, as
   * in ffmpeg.
   */
  readonly fps?: number
  /**
   * How damage after the first frame is handled. `error` (default) throws. `stop` ends the frames
   * with a warning. `skip` continues after the damage, as ffmpeg does, with a warning for each
   * place; frames there may be missing or wrong. `skip` needs the decoder ffmpeg or wasm. It equals
   * `stop` for y4m, raw video, and streams of MP4, MOV, WebM and Matroska.
   */
  readonly onError?: OnError
  /**
   * How non-square pixels are handled. `ignore` (default) uses the stored picture, like ffmpeg's
   * raw frames. `apply` sets `pixelAspect` of each frame. `toPixels` then widens the picture.
   */
  readonly pixelAspect?: 'ignore' | 'apply'
}

const OPEN_OPTIONS: OptionNames<OpenOptions> = {
  decoder: 1,
  decoderUrl: 1,
  signal: 1,
  format: 1,
  fps: 1,
  onError: 1,
  pixelAspect: 1,
}

/**
 * Opens a video: mp4, mov, webm, mkv, avi, MPEG-TS, MPEG-PS, flv, GIF, WebP, y4m, raw RGB, PNG and
 * JPEG. The source is a path, URL, Blob, bytes, a stream, a list of pictures, a directory of
 * pictures, or a pattern of their paths such as `frame_%04d.png`. The first picture is decoded
 * before the promise resolves, so a video that cannot be decoded is rejected.
 * @throws TrecvitError if it is missing, empty, cut short, damaged, of an unknown format, without
 * video, or no available decoder supports it
 * @example
 * const video = await openVideo('clip.mp4')
 * for await (const frame of video) { }
 */
export async function openVideo(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions = {},
): Promise<Video> {
  checkOptions('openVideo', options, OPEN_OPTIONS)
  const { signal, fps = 25, onError = 'error', pixelAspect = 'ignore' } = options
  signal?.throwIfAborted()
  if (typeof ReadableStream === 'undefined') {
    throw new TrecvitError(
      'A video needs the global class ReadableStream, which jsdom lacks: ' +
        'set it to that of "node:stream/web"',
    )
  }
  if (!(fps > 0 && Number.isFinite(fps)))
    throw new TrecvitError(`fps must be a positive number, not ${fps}`)
  checkChoice('onError', onError, ON_ERROR)
  checkChoice('pixelAspect', pixelAspect, ['ignore', 'apply'])
  const stop = new AbortController()
  onAbort(
    stop.signal,
    onAbort(signal, () => stop.abort(signal?.reason)),
  )
  try {
    const reading = await read(source, options, fps, stop.signal)
    return makeVideo(pixelAspect === 'apply' ? widened(reading) : reading, stop)
  } catch (error) {
    stop.abort()
    throw error
  }
}

function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.includes(value as string)) return
  const accepted = choices.map((choice) => `"${choice}"`).join(', ')
  throw new TrecvitError(`${name} expected one of ${accepted}, got ${quote(String(value))}`)
}

/** Adds `pixelAspect` to each frame. */
function widened(reading: Reading): Reading {
  const { pixelAspect } = reading.info
  if (pixelAspect === undefined) return reading
  return {
    info: reading.info,
    ...(reading.warnings && { warnings: reading.warnings }),
    async next() {
      const frame = await reading.next()
      return frame && { ...frame, pixelAspect }
    },
    release: () => reading.release(),
  }
}

async function read(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions,
  fps: number,
  signal: AbortSignal,
): Promise<Reading> {
  const { format, onError = 'error' } = options
  const tolerate = onError === 'error' ? (reading: Reading): Reading => reading : stopAtDamage
  const pictures = onError === 'skip' ? skipPictures : tolerate
  if (Array.isArray(source)) return pictures(await openImages(source, null, fps, signal))
  const single = source as VideoSource
  const files = typeof single === 'string' && onServer() ? await listImages(single) : null
  if (files !== null) return pictures(await openImages(files, null, fps, signal))
  const media = await openMedia(single, signal)
  if (typeof format === 'object') return tolerate(await openRaw(media, format, fps, signal))
  if (format === 'y4m' || startsWith(media.head, Y4M_MAGIC))
    return tolerate(await openY4m(media, signal))
  if (imageKind(media.head) !== null) return openImages([single], media, fps, signal)
  const known = await formatOf(media)
  if (known !== null) {
    const job = { media, format: known, onError, signal }
    return tolerate(await openFile(job, decoderOf(options)))
  }
  return readContainer(single, media, options, signal, tolerate)
}

/** Opens MP4, MOV, WebM and Matroska. Only FFmpeg can continue after damage in them. */
async function readContainer(
  source: VideoSource,
  media: Media,
  options: OpenOptions,
  signal: AbortSignal,
  tolerate: (reading: Reading) => Reading,
): Promise<Reading> {
  const { onError = 'error' } = options
  const format = containerFormat(media.head)
  if (format === null) refuse(media)
  const reopen = async (): Promise<Reading> => {
    const again = { media: await openMedia(source, signal), format, onError, signal }
    return openFile(again, decoderOf(options))
  }
  const skips = onError === 'skip' && media.read !== null && !isStream(source)
  try {
    const reading = (await openContainer(media, decoderOf(options), signal))!
    return skips ? skipDamage(reading, reopen) : tolerate(reading)
  } catch (error) {
    if (!skips || !(error instanceof TrecvitError)) throw error
    // The first error describes the file best.
    const reading = await reopen().catch(() => {
      throw error
    })
    reading.warnings?.unshift(error.message)
    return reading
  }
}

function decoderOf({ decoder = 'auto', decoderUrl }: OpenOptions): DecoderOptions {
  return { choice: decoder, url: decoderUrl }
}

function startsWith(head: Uint8Array, magic: string, at = 0): boolean {
  return String.fromCharCode(...head.subarray(at, at + magic.length)) === magic
}

/** Throws the error for a file of an unknown format. */
function refuse({ name }: Media): never {
  throw new TrecvitError(
    `${capital(name)} is no video of a known kind (mp4, mov, webm, mkv, avi, ts, mpg, flv, gif, ` +
      `webp, y4m, PNG, JPEG): ${CONVERT}`,
  )
}
