/**
 * An opened video: what it is, and its pictures in order.
 */
import { TrecvitError } from '../base/error.ts'
import type { Frame, Rotation } from './frame.ts'
import { iterate } from './iterate.ts'

/** What is known of a video before it is decoded. */
export interface VideoInfo {
  /**
   * mp4, mov, webm, mkv, avi, mpegts, mpegps, mpegvideo, flv, asf, ogg, gif, webp, y4m, rawvideo or
   * images.
   */
  readonly container: string
  /** In words, like "H.264 High, 4:2:0, 8 bit". */
  readonly codec: string
  /** Pixels, after rotation. */
  readonly width: number
  /** Pixels, after rotation. */
  readonly height: number
  /** Degrees clockwise, already counted in width and height. */
  readonly rotation: Rotation
  /** Width of a stored pixel by its height, where the file tells and it is not 1. */
  readonly pixelAspect?: number
  /** Number of pictures, where the container tells. */
  readonly frames: number | null
  /** Seconds, where the container tells. */
  readonly duration: number | null
  /** Pictures a second; of a variable rate, the mean. */
  readonly fps: number | null
  /** Who decodes, and why nobody better. */
  readonly decoder: string
}

/**
 * An opened video. It can be walked through once; leaving the loop early, its end, an error and
 * `close` all free its file, its decoder and its ffmpeg process.
 * @example
 * for await (const frame of await openVideo('clip.mp4')) console.log(frame.time, frame.format)
 */
export interface Video extends AsyncIterable<Frame> {
  /** Container, codec, size, rate and decoder. */
  readonly info: VideoInfo
  /**
   * What the file asks for and is not done, or what it lacks without harm: sentences. Some are
   * known when the video is opened, others only at its end.
   */
  readonly warnings: readonly string[]
  /**
   * Frees everything; a loop that runs ends as if the video did, and none can be begun. May be
   * called more than once. Needed only where no loop was begun.
   */
  close(): Promise<void>
  /** Closes the video, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The field of `VideoInfo`, where it is needed. */
export function aspectOf(aspect: number): Pick<VideoInfo, 'pixelAspect'> {
  return aspect > 0 && Number.isFinite(aspect) && aspect !== 1 ? { pixelAspect: aspect } : {}
}

/**
 * How a reader hands over: frames that end or throw when `stop` is aborted, and what is left to
 * free after them.
 */
export interface Reading {
  readonly info: VideoInfo
  /** Grows until the frames end. Default: none. */
  readonly warnings?: string[]
  /** The next frame; null at the end. Not called again before it has returned. */
  next(): Promise<Frame | null>
  release(): void | Promise<void>
}

/**
 * @param stop aborted by `close`, and by the caller's signal with the caller's reason
 */
export function makeVideo(reading: Reading, stop: AbortController): Video {
  const { info, warnings = [] } = reading
  let used = false
  let closed = false
  let last: Promise<Frame | null> = Promise.resolve(null)
  async function next(): Promise<Frame | null> {
    try {
      if (closed) return null
      stop.signal.throwIfAborted()
      last = reading.next()
      const frame = await last
      // Frames that were freed by an abort end without a word.
      if (frame === null && !closed) stop.signal.throwIfAborted()
      return frame
    } catch (error) {
      if (closed) return null
      throw error
    }
  }
  async function free(): Promise<void> {
    stop.abort()
    await last.catch(() => {})
    await reading.release()
  }
  // An abort frees a video that nobody is waiting for, too.
  stop.signal.addEventListener('abort', () => void free().catch(() => {}), { once: true })
  const close = async (): Promise<void> => {
    closed = true
    await free()
  }
  return {
    info,
    warnings,
    close,
    [Symbol.asyncDispose]: close,
    [Symbol.asyncIterator]() {
      if (closed) throw new TrecvitError('The video was closed: open it again to read it')
      if (used)
        throw new TrecvitError(
          'A video can be read once: open it again to read it from the beginning',
        )
      used = true
      return iterate(next, free)
    },
  }
}
