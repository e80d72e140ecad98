/**
 * Classifies a video from a client: the classes of the whole video, and a timeline.
 */
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import type { FrameAnswer } from '../../model/heads/classification.ts'
import { Timeline } from '../../model/timeline.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { SampleOptions } from '../../video/sample.ts'
import type { VideoInfo } from '../../video/video.ts'
import type { VideoPart } from './videos.ts'

/** Query parameters of the request. */
export interface Query {
  /** Number of classes in the response. */
  readonly topK: number
  readonly sampling: SampleOptions
}

/** Largest value of "fps", in frames per second. */
const MAX_FPS = 1000

/**
 * Parses "topK", "fps" and "stride".
 * @param c number of classes of the model
 * @throws TrecvitError if a parameter is unknown or out of range
 */
export function readQuery(query: Readonly<Record<string, string>>, c: number): Query {
  const { topK = String(Math.min(5, c)), fps, stride, ...unknown } = query
  const [odd] = Object.keys(unknown)
  if (odd !== undefined)
    throw new TrecvitError(`The query expected "topK", "fps" and "stride", got ${quote(odd)}`)
  return {
    topK: integer('topK', topK, c),
    sampling: {
      ...(fps !== undefined && { fps: rate(fps) }),
      ...(stride !== undefined && { stride: integer('stride', stride, Number.MAX_SAFE_INTEGER) }),
    },
  }
}

function integer(name: string, text: string, most: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return value
  throw new TrecvitError(`"${name}" expected an integer from 1 to ${most}, got ${quote(text)}`)
}

function rate(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value > 0 && value <= MAX_FPS) return value
  throw new TrecvitError(`"fps" expected a number above 0, at most ${MAX_FPS}, got ${quote(text)}`)
}

/**
 * Classifies all frames with one stream, like `trecvit classify`.
 * @param push pushes one frame to the model
 * @throws the errors of the video and of `push`
 */
export async function classify(
  model: TRecViT,
  parts: AsyncIterable<VideoPart>,
  topK: number,
  push: (work: Promise<FrameAnswer>) => Promise<FrameAnswer>,
): Promise<object> {
  const shape = [...model.config.imageSize, 3]
  const stream = model.stream({ topK })
  const timeline = new Timeline()
  let frames = 0
  let info: VideoInfo | undefined
  let last: FrameAnswer | undefined
  try {
    for await (const part of parts) {
      if ('info' in part) info = part.info
      else {
        const { time, pixels: data } = part.frame
        last = await push(stream.push({ data, shape }))
        timeline.add(last, time)
        frames++
      }
    }
  } finally {
    await stream.dispose()
  }
  if (!(info && last)) throw new TrecvitError('The video has no frames')
  const { top, logits, probs } = last.overall
  return {
    video: info,
    frames,
    top,
    logits: [...logits.data],
    probs: [...probs.data],
    segments: timeline.segments(info.fps),
  }
}
