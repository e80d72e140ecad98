/** A video and its next frame. */
import { type Frame, openVideo, sample, type Video } from 'trecvit/video'

/** What is played. */
export interface Source {
  readonly file: Blob
  readonly name: string
  readonly rate: number
}

/** A video that was opened. */
export interface Opened {
  readonly video: Video
  readonly frames: AsyncIterator<Frame>
  /** The frame that comes next, if it was decoded already. */
  next: Frame | undefined
}

/** @param start seconds after the first frame */
export async function begin({ file, rate }: Source, start: number): Promise<Opened> {
  const video = await openVideo(file, { decoderUrl: new URL('decoder.wasm', location.href) })
  const frames = sample(video, { start, ...(rate && { fps: rate }) })
  return { video, frames: frames[Symbol.asyncIterator](), next: undefined }
}

/** The frame that comes next, or undefined at the end. */
export async function peek(opened: Opened): Promise<Frame | undefined> {
  return (opened.next ??= (await opened.frames.next()).value)
}
