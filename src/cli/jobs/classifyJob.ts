/** Classifies the video of a job, and goes on where another worker has stopped. */
import { TrecvitError } from '../../base/error.ts'
import { meanOf } from '../../model/classify.ts'
import { classifyClips } from '../../model/clips.ts'
import { type Class, topsOf } from '../../model/heads/classification.ts'
import { sessionsOf } from '../../model/sessions.ts'
import { type Segment, Timeline, type TimelineState } from '../../model/timeline.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import type { Frame } from '../../video/frame.ts'
import { type ClassifyVideoOptions, hasTimeline } from '../classifyVideo.ts'
import { type InputVideo, openInput } from '../input.ts'
import type { Keeper } from './keeper.ts'
import { pushAll } from './pushAll.ts'
import type { Settings } from './settings.ts'
import type { JobData } from './types.ts'

/** Result of a job. */
export interface Classified {
  readonly top: readonly Class[]
  readonly frames: number
  /** Empty with clips and views. */
  readonly segments: readonly Segment[]
  /** Why the video ended early. */
  readonly error?: string
}

/** State of a job with clips or crops. */
export interface ClipState {
  readonly answers: readonly {
    readonly logits: readonly number[]
    readonly probs: readonly number[]
  }[]
}

/** State of a job beside its stream. */
export interface ClassifyState {
  readonly timeline: TimelineState
  readonly top: readonly Class[]
}

/**
 * Classifies a video as "trecvit classify" does.
 * @returns null if the signal was aborted; the keeper then has the state, if there is one
 * @throws TrecvitError if the video cannot be read or has no frames
 */
export async function classifyJob(
  model: TRecViT,
  { video: source, part }: JobData,
  { task, reading }: Settings,
  keeper: Keeper<never>,
  signal: AbortSignal,
): Promise<Classified | null> {
  const video = await openInput(source, reading, signal)
  try {
    const frames = part ? within(video.frames, part) : video.frames
    const found = hasTimeline(reading)
      ? await follow(model, { ...video, frames }, reading, keeper, signal)
      : await meanOfClips(model, video, reading, keeper, signal)
    if (signal.aborted) return null
    const broken = video.broken()
    if (!found && !part) throw new TrecvitError('The video has no frames')
    const result = found ?? { top: [], frames: 0, segments: [] }
    return {
      ...result,
      ...(task === 'evaluate' && { segments: [] }),
      ...(broken && { error: broken.message }),
    }
  } finally {
    await video.close()
  }
}

/** Classifies all frames in order, with one stream. Returns null if there are none. */
async function follow(
  model: TRecViT,
  video: Pick<InputVideo, 'frames' | 'info'>,
  { window, topK }: ClassifyVideoOptions,
  keeper: Keeper<ClassifyState>,
  signal: AbortSignal,
): Promise<Classified | null> {
  const { from } = keeper
  await using stream = from
    ? await model.resume(from.snapshot, { topK })
    : model.stream({ average: { frames: window }, topK })
  const timeline = new Timeline(from?.state.timeline)
  let top = from?.state.top
  const frames = await pushAll(
    stream,
    video.frames,
    keeper,
    {
      use(answer, { time }) {
        timeline.add(answer, time)
        top = answer.overall.top
      },
      state: () => ({ timeline: timeline.state, top: top! }),
    },
    signal,
  )
  if (!top) return null
  return { top, frames, segments: timeline.segments(video.info.fps) }
}

/** Classifies clips and crops, from those on that another worker has answered. */
async function meanOfClips(
  model: TRecViT,
  video: InputVideo,
  { topK, clips, views = 1 }: ClassifyVideoOptions,
  keeper: Keeper<ClipState>,
  signal: AbortSignal,
): Promise<Classified> {
  if (clips === undefined && views === 1) {
    const { top, frames } = await model.classify(video.frames, { topK, signal })
    return { top, frames, segments: [] }
  }
  const before = keeper.from?.state.answers.map(({ logits, probs }) => ({
    logits: Float32Array.from(logits),
    probs: Float32Array.from(probs),
  }))
  const { answers, length } = await classifyClips(sessionsOf(model), video.frames, {
    ...{ clips, views, signal },
    ...(before && { answers: before }),
    onAnswers(all, frames) {
      if (!keeper.isDue) return
      const state = all.map(({ logits, probs }) => ({ logits: [...logits], probs: [...probs] }))
      void keeper.save(frames, { answers: state }, Promise.resolve(new Uint8Array()))
    },
  })
  const { labels, config } = model
  const top = topsOf(meanOf(answers, 'probs'), config.numClasses, labels, topK)[0]!
  return { top, frames: length * answers.length, segments: [] }
}

/** Yields the frames of a part of the video. Seconds count from its first frame. */
async function* within(
  frames: AsyncIterable<Frame>,
  [from, to]: readonly [number, number],
): AsyncGenerator<Frame> {
  let first: number | undefined
  for await (const frame of frames) {
    first ??= frame.time
    const time = frame.time - first
    if (time >= to) return
    if (time >= from) yield frame
  }
}
