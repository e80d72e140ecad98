/** Segments of a video: frames in a row with the same label. */
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from '../stream/frames.ts'
import { overlap } from '../stream/overlap.ts'
import { timeOf } from '../stream/timeOf.ts'
import type { ReadOptions } from '../video/read.ts'
import type { ClassStream } from './classStream.ts'
import type { ClassStreamOptions, FrameAnswer } from './heads/classification.ts'
import { RUN_OPTIONS, type RunOptions } from './options.ts'
import { sessionsOf } from './sessions.ts'

/** A part of a video in which the most probable class stays the same. */
export interface Segment {
  /** Seconds of its first frame; 0 is the first frame of the video. */
  readonly start: number
  /** Seconds of the first frame of the next segment, or of the end of the video. */
  readonly end: number
  /** Index of its first frame. */
  readonly first: number
  /** Index of its last frame. */
  readonly last: number
  /** Name of the class, or null for a model without labels. */
  readonly label: string | null
  /** Position of the class in the labels. */
  readonly index: number
  /** Mean of the probability of the class over the answers of the segment, 0..1. */
  readonly prob: number
}

/** Options for a timeline: those of `classify` that choose frames, and the window. */
export interface TimelineOptions extends RunOptions, Omit<ReadOptions, keyof RunOptions> {
  /** Frames that an answer covers, 1 to 4096. Default: half a clip, as for a stream. */
  readonly window?: number
}

/** A segment that is being built. */
export interface OpenSegment extends Pick<Segment, 'start' | 'first' | 'label' | 'index'> {
  sum: number
  count: number
  last: number
}

/** State of a timeline, as JSON keeps it. */
export interface TimelineState {
  readonly segments: readonly Segment[]
  readonly open: OpenSegment | undefined
  readonly partial: Pick<FrameAnswer, 'top'> | undefined
  readonly count: number
  readonly start: number
  readonly time: number
  readonly gap: number | undefined
}

/** Frame rate assumed for frames without a time. */
const FPS = 25

/**
 * Builds segments from the answers of a stream.
 *
 * Partial answers are not used: the first full answer also stands for the frames before. If a video
 * ends before its first full answer, its last answer is its only segment.
 */
export class Timeline {
  readonly #segments: Segment[]
  #open: OpenSegment | undefined
  /** The last answer, while all are partial. */
  #partial: Pick<FrameAnswer, 'top'> | undefined
  /** Frames so far. */
  #count: number
  #start: number
  #time: number
  #gap: number | undefined

  /** @param state state of the timeline that this one continues */
  constructor(state?: TimelineState) {
    this.#segments = [...(state?.segments ?? [])]
    this.#open = state?.open && { ...state.open }
    this.#partial = state?.partial
    this.#count = state?.count ?? 0
    this.#start = state?.start ?? 0
    this.#time = state?.time ?? 0
    this.#gap = state?.gap
  }

  /** Copy of the state after the frames so far. */
  get state(): TimelineState {
    return {
      segments: [...this.#segments],
      open: this.#open && { ...this.#open },
      partial: this.#partial && { top: this.#partial.top },
      count: this.#count,
      start: this.#start,
      time: this.#time,
      gap: this.#gap,
    }
  }

  /** @param time seconds of the frame */
  add(answer: FrameAnswer, time: number = this.#count / FPS): void {
    if (this.#count === 0) this.#start = time
    else this.#gap = time - this.#time
    this.#time = time
    const frame = this.#count++
    if (answer.partial) this.#partial = answer
    else this.#extend(answer, frame, time)
  }

  /**
   * Returns the segments so far. The last frame lasts as long as the frame before.
   * @param fps frame rate of the video, for a video of one frame
   */
  segments(fps: number | null = FPS): Segment[] {
    if (!this.#open && this.#partial) this.#extend(this.#partial, this.#count - 1, this.#time)
    const end = this.#time + (this.#gap ?? 1 / (fps ?? FPS))
    return this.#open ? [...this.#segments, closed(this.#open, end)] : []
  }

  #extend({ top }: Pick<FrameAnswer, 'top'>, frame: number, time: number): void {
    const { label, index, prob } = top[0]!
    if (this.#open && this.#open.index !== index) {
      this.#segments.push(closed(this.#open, time))
      this.#open = { start: time, first: frame, last: frame, label, index, sum: 0, count: 0 }
    }
    this.#open ??= { start: this.#start, first: 0, last: frame, label, index, sum: 0, count: 0 }
    this.#open.last = frame
    this.#open.sum += prob
    this.#open.count++
  }
}

function closed({ sum, count, ...segment }: OpenSegment, end: number): Segment {
  return { ...segment, end, prob: sum / count }
}

/** See TRecViT.timeline. */
export async function timelineOf(
  model: {
    readonly config: { readonly imageSize: readonly [number, number] }
    stream(options: ClassStreamOptions): ClassStream
  },
  source: FrameSource,
  options: TimelineOptions,
): Promise<Segment[]> {
  checkOptions('timeline', options, { window: 1, ...RUN_OPTIONS, ...READ_OPTIONS })
  const { window, onProgress, ...given } = options
  const reading = { onWarning: sessionsOf(model).engines.warn, ...given }
  const average = window === undefined ? {} : { average: { frames: window } }
  const stream = model.stream({ ...average, topK: 1 })
  const timeline = new Timeline()
  let count = 0
  try {
    await overlap(
      framesOf(source, model.config.imageSize, reading),
      (frame) => stream.push(frame),
      (answer, frame) => {
        reading.signal?.throwIfAborted()
        timeline.add(answer, timeOf(frame))
        count++
        onProgress?.(count, count)
      },
    )
  } finally {
    await stream.dispose()
  }
  if (count === 0) throw new TrecvitError('The video has no frames')
  return timeline.segments()
}
