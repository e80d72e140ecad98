/** A video and its next frame. */
import { TrecvitError } from 'trecvit'
import { type Frame, openVideo, sample, type Video } from 'trecvit/video'

/** A video to play. */
export interface Source {
  readonly file: Blob
  readonly name: string
  readonly rate: number
}

/** An open video. */
export interface Opened {
  readonly video: Video
  readonly frames: AsyncIterator<Frame>
  /** The next frame, if it is already decoded. */
  next: Frame | undefined
}

/** @param start seconds after the first frame */
export async function begin({ file, rate }: Source, start: number): Promise<Opened> {
  const video = await openVideo(file, { decoderUrl: new URL('decoder.wasm', location.href) })
  const frames = sample(video, { start, ...(rate && { fps: rate }) })
  return { video, frames: frames[Symbol.asyncIterator](), next: undefined }
}

/** Returns the next frame, or undefined at the end. */
export async function peek(opened: Opened): Promise<Frame | undefined> {
  return (opened.next ??= (await opened.frames.next()).value)
}

/** Opens a video and decodes its first frame. */
export async function openAtFirst(source: Source): Promise<Opened & { next: Frame }> {
  const opened = await begin(source, 0)
  try {
    const next = await peek(opened)
    if (!next) throw new TrecvitError(`"${source.name}" has no frames`)
    return { ...opened, next }
  } catch (error) {
    await opened.video.close()
    throw error
  }
}
