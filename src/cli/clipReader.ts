import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { Config } from '../model/config.ts'
import { framesOf } from '../stream/frames.ts'
import { toInput } from '../stream/input.ts'

/** Which frames of a video are read. */
export interface ClipChoice {
  /** Number of frames; a shorter video has fewer. */
  readonly frames: number
  /** Every `stride`-th frame of the video is taken. */
  readonly stride: number
  readonly signal?: AbortSignal
}

/** Limit of the frames that are decoded, in clips from the start of a video. */
const MAX_CLIPS = 8

/**
 * Reads the clip in the middle of a video, resized for the model. Only the start of a long video is
 * decoded, so the clip is the middle of that part.
 * @returns [t, H, W, 3], bytes
 * @throws TrecvitError if the video cannot be read or has no frames
 */
export async function readClip(
  source: string,
  { imageSize }: Pick<Config, 'imageSize'>,
  { frames, stride, signal }: ClipChoice,
): Promise<NdArray<Uint8Array>> {
  const options = { stride, frames: MAX_CLIPS * frames, ...(signal && { signal }) }
  const decoded: Uint8Array[] = []
  for await (const frame of framesOf(source, imageSize, options))
    decoded.push((await toInput(frame, 1, imageSize)) as Uint8Array)
  const t = Math.min(frames, decoded.length)
  if (t === 0) throw new TrecvitError(`${quote(source)} has no frames`)
  const first = Math.floor((decoded.length - t) / 2)
  const size = decoded[0]!.length
  const data = new Uint8Array(t * size)
  decoded.slice(first, first + t).forEach((pixels, index) => data.set(pixels, index * size))
  return { data, shape: [t, ...imageSize, 3] }
}
