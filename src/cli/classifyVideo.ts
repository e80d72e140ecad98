/** Classifies one video. */
import { TrecvitError } from '../base/error.ts'
import type { Class, FrameAnswer } from '../model/heads/classification.ts'
import { type Segment, Timeline } from '../model/timeline.ts'
import type { TRecViT } from '../model/trecvit.ts'
import { overlap } from '../stream/overlap.ts'
import type { VideoInfo } from '../video/video.ts'
import { type InputVideo, openInput } from './input.ts'
import type { VideoOptions } from './options.ts'
import { showProgress } from './progress.ts'

/** Options for one video. */
export interface ClassifyVideoOptions extends VideoOptions {
  readonly topK: number
  readonly window: number
  readonly clips?: number
  readonly views?: 1 | 3
}

/** The result after one frame. */
export interface Moment extends Class {
  readonly frame: number
  /** Seconds from the start of the video. */
  readonly time: number
  readonly partial: boolean
}

/** The result for the whole video, and its timeline. */
export interface Result {
  readonly info: VideoInfo
  readonly top: readonly Class[]
  readonly probs: Float32Array
  readonly logits: Float32Array
  /** Number of frames that were classified. */
  readonly count: number
  /** Empty with clips and views. */
  readonly moments: readonly Moment[]
  readonly segments: readonly Segment[]
  readonly seconds: number
  /** Why the video ended early, or null. */
  readonly broken: TrecvitError | null
}

/** Whether the result has a timeline. It has none with clips or views. */
export function hasTimeline({ clips, views }: { clips?: unknown; views?: unknown }): boolean {
  return clips === undefined && views === undefined
}

/**
 * Classifies a video.
 * @returns null if the signal was aborted before the first result
 * @throws TrecvitError if the video cannot be read or has no frames
 */
export async function classifyVideo(
  model: TRecViT,
  source: string | URL,
  options: ClassifyVideoOptions,
  signal: AbortSignal,
): Promise<Result | null> {
  const video = await openInput(source, options, signal)
  const progress = await showProgress(options, 'Classifying', 'frames', video.expected)
  try {
    const start = performance.now()
    const result = await (hasTimeline(options)
      ? followFrames(model, video, options, progress.update)
      : meanOfClips(model, video, options, signal, progress.update))
    if (!result && signal.aborted) return null
    if (!result) throw new TrecvitError('The video has no frames')
    const seconds = (performance.now() - start) / 1000
    return { ...result, info: video.info, seconds, broken: video.broken() }
  } finally {
    progress.stop()
    await video.close()
  }
}

type Answer = Omit<Result, 'info' | 'seconds' | 'broken'>

/** Classifies all frames in order, with one stream. */
async function followFrames(
  model: TRecViT,
  video: InputVideo,
  { window, topK }: ClassifyVideoOptions,
  update: (done: number) => void,
): Promise<Answer | undefined> {
  await using stream = model.stream({ average: { frames: window }, topK })
  const timeline = new Timeline()
  const moments: Moment[] = []
  let last: FrameAnswer | undefined
  await overlap(
    video.frames,
    (frame) => stream.push(frame),
    (answer, { time }) => {
      last = answer
      timeline.add(answer, time)
      const { frame, partial, top } = answer
      moments.push({ frame, time, partial, ...top[0]! })
      update(moments.length)
    },
  )
  if (!last) return undefined
  const { top, probs, logits } = last.overall
  const segments = timeline.segments(video.info.fps)
  const count = moments.length
  return { top, probs: probs.data, logits: logits.data, count, moments, segments }
}

async function meanOfClips(
  model: TRecViT,
  video: InputVideo,
  { topK, clips, views }: ClassifyVideoOptions,
  signal: AbortSignal,
  update: (done: number, total: number) => void,
): Promise<Answer> {
  const { top, probs, logits, frames } = await model.classify(video.frames, {
    topK,
    signal,
    ...(clips !== undefined && { clips }),
    ...(views !== undefined && { views }),
    onProgress: update,
  })
  return {
    top,
    probs: probs.data,
    logits: logits.data,
    count: frames,
    moments: [],
    segments: [],
  }
}
