/**
 * The answer about a video that a client sends: the classes of all of it, and what happens when.
 */
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import type { FrameAnswer } from '../../model/heads/classification.ts'
import { Timeline } from '../../model/timeline.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { SampleOptions } from '../../video/sample.ts'
import type { VideoInfo } from '../../video/video.ts'
import type { VideoPart } from './videos.ts'

/** What the address asks for behind its "?". */
export interface Query {
  /** Classes to name. */
  readonly topK: number
  readonly sampling: SampleOptions
}

/** Frames a second of the fastest sampling. */
const MAX_FPS = 1000

/**
 * Reads "topK", "fps" and "stride".
 * @param c classes of the model
 * @throws TrecvitError if one is unknown or out of its range
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
 * Follows the frames with the state carried over, as `trecvit classify` does.
 * @param push runs the work of the model for one frame
 * @throws what the parts throw
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
