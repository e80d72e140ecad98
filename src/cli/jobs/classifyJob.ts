/** Classifies the video of a job, and goes on where another worker has stopped. */
import { TrecvitError } from '../../base/error.ts'
import type { Class } from '../../model/heads/classification.ts'
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
  keeper: Keeper<ClassifyState>,
  signal: AbortSignal,
): Promise<Classified | null> {
  const video = await openInput(source, reading, signal)
  try {
    const frames = part ? within(video.frames, part) : video.frames
    const found = hasTimeline(reading)
      ? await follow(model, { ...video, frames }, reading, keeper, signal)
      : await meanOfClips(model, video, reading, signal)
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

async function meanOfClips(
  model: TRecViT,
  video: InputVideo,
  { topK, clips, views }: ClassifyVideoOptions,
  signal: AbortSignal,
): Promise<Classified> {
  const { top, frames } = await model.classify(video.frames, {
    topK,
    signal,
    ...(clips !== undefined && { clips }),
    ...(views !== undefined && { views }),
  })
  return { top, frames, segments: [] }
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
