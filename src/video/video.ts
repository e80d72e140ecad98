/**
 * An opened video: its properties, and its pictures in order.
 */
import { onAbort } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import type { Frame, Rotation } from './frame.ts'
import { iterate } from './iterate.ts'

/** Properties of a video. */
export interface VideoInfo {
  /**
   * mp4, mov, webm, mkv, avi, mpegts, mpegps, mpegvideo, flv, asf, ogg, gif, webp, y4m, rawvideo or
   * images.
   */
  readonly container: string
  /** Codec as text, such as "H.264 High, 4:2:0, 8 bit". */
  readonly codec: string
  /** Pixels, after rotation. */
  readonly width: number
  /** Pixels, after rotation. */
  readonly height: number
  /** Degrees clockwise. Width and height include this rotation. */
  readonly rotation: Rotation
  /** Width of a stored pixel divided by its height, if the file contains it and it is not 1. */
  readonly pixelAspect?: number
  /** Number of pictures, or null if the container does not contain it. */
  readonly frames: number | null
  /** Seconds, or null if the container does not contain the duration. */
  readonly duration: number | null
  /** Pictures per second; the mean of a variable rate. */
  readonly fps: number | null
  /** Name of the decoder, and why no better one is used. */
  readonly decoder: string
}

/**
 * An opened video. It can be iterated once. Leaving the loop, the end, an error and `close` free
 * its file, decoder and ffmpeg process.
 * @example
 * for await (const frame of await openVideo('clip.mp4')) console.log(frame.time, frame.format)
 */
export interface Video extends AsyncIterable<Frame> {
  /** Container, codec, size, rate and decoder. */
  readonly info: VideoInfo
  /**
   * Requests of the file that are not supported, and defects without effect, as sentences. Some are
   * known when the video is opened, others only at its end.
   */
  readonly warnings: readonly string[]
  /**
   * Frees everything. A running loop ends as at the end of the video. No loop can be started
   * afterwards. Can be called more than once. Needed only if no loop was started.
   */
  close(): Promise<void>
  /** Closes the video, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Returns the field of `VideoInfo` for an aspect other than 1. */
export function aspectOf(aspect: number): Pick<VideoInfo, 'pixelAspect'> {
  return aspect > 0 && Number.isFinite(aspect) && aspect !== 1 ? { pixelAspect: aspect } : {}
}

/**
 * The interface of readers: frames that end or throw when `stop` is aborted, and a function that
 * frees the rest.
 */
export interface Reading {
  readonly info: VideoInfo
  /** Warnings so far. Readers add to it until the frames end. Default: none. */
  readonly warnings?: string[]
  /** Returns the next frame; null at the end. Calls do not overlap. */
  next(): Promise<Frame | null>
  release(): void | Promise<void>
}

/** @param stop aborted by `close`, or by the caller's signal with the caller's reason */
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
      // An abort that freed the frames ends them without an error.
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
  // An abort also frees a video that no loop reads.
  onAbort(stop.signal, () => void free().catch(() => {}))
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
