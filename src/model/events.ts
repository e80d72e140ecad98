/** Events of a live video: classes that enter and leave it. */
import { checkCount, describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions } from '../base/options.ts'
import { ahead } from '../stream/ahead.ts'
import { type FrameSource, framesOf, READ_OPTIONS } from '../stream/frames.ts'
import type { Stream, StreamModel } from '../stream/stream.ts'
import { timeOf } from '../stream/timeOf.ts'
import type { ReadOptions } from '../video/read.ts'
import type { ClassModel, FrameAnswer } from './heads/classification.ts'
import { sessionsOf } from './sessions.ts'

/** Thresholds of events. The gap between them keeps a class from flickering. */
export interface EventOptions {
  /** Least probability of a class that enters, above 0, at most 1. Default 0.5. */
  readonly enter?: number
  /** A class leaves below this probability, above 0, at most `enter`. Default 0.3. */
  readonly leave?: number
  /** Answers in a row that are needed to enter, and to leave. Default 4. */
  readonly minFrames?: number
}

/** A class enters a video or leaves it. */
export interface VideoEvent {
  /** Whether the class begins or ends. */
  readonly type: 'enter' | 'leave'
  /** Name of the class, or null for a model without labels. */
  readonly label: string | null
  /** Position of the class in the labels. */
  readonly index: number
  /** Probability of the class in the answer that decided, 0..1. */
  readonly prob: number
  /** Index of the frame of that answer, the last of `minFrames` in a row. */
  readonly frame: number
  /** Time of that frame in seconds, or null if the frame has no time. */
  readonly time: number | null
}

/**
 * Decides on events, answer by answer, for each class by itself.
 *
 * An absent class enters once `minFrames` answers in a row have prob ≥ enter; a present one leaves
 * once `minFrames` in a row have prob < leave. Partial answers are skipped.
 */
export class EventDetector {
  readonly #labels: readonly string[] | null
  readonly #enter: number
  readonly #leave: number
  readonly #minFrames: number
  /** For each class: whether it is present, and the answers in a row for a change. */
  readonly #present: boolean[] = []
  readonly #count: number[] = []

  /** @throws TrecvitError if an option is out of range */
  constructor(
    labels: readonly string[] | null,
    { enter = 0.5, leave = Math.min(0.3, enter), minFrames = 4 }: EventOptions,
  ) {
    checkProbability('enter', enter, 1)
    checkProbability('leave', leave, enter)
    checkCount('minFrames', minFrames)
    this.#labels = labels
    this.#enter = enter
    this.#leave = leave
    this.#minFrames = minFrames
  }

  /** Returns the events of an answer: first what leaves, then what enters, by index. */
  add({ partial, probs: { data } }: FrameAnswer, frame: number, time: number | null): VideoEvent[] {
    if (partial) return []
    const events: VideoEvent[] = []
    data.forEach((prob, index) => {
      const present = this.#present[index] ?? false
      const changes = present ? prob < this.#leave : prob >= this.#enter
      this.#count[index] = changes ? (this.#count[index] ?? 0) + 1 : 0
      if (this.#count[index] === this.#minFrames) {
        this.#count[index] = 0
        this.#present[index] = !present
        events.push(this.#event(index, prob, frame, time))
      }
    })
    return events.sort(
      (one, other) => Number(one.type < other.type) - Number(one.type > other.type),
    )
  }

  /** Returns the events at the end of a video: every present class leaves. */
  end({ probs: { data } }: FrameAnswer, frame: number, time: number | null): VideoEvent[] {
    return this.#present.flatMap((present, index) => {
      if (!present) return []
      this.#present[index] = false
      return [this.#event(index, data[index]!, frame, time)]
    })
  }

  #event(index: number, prob: number, frame: number, time: number | null): VideoEvent {
    const type = this.#present[index] ? 'enter' : 'leave'
    return { type, label: this.#labels?.[index] ?? null, index, prob, frame, time }
  }
}

/** See ClassStream.events. */
export async function* eventsOf(
  stream: Stream<FrameAnswer>,
  model: ClassModel & StreamModel,
  source: FrameSource,
  options: EventOptions & ReadOptions,
): AsyncGenerator<VideoEvent, void, undefined> {
  checkOptions('events', options, { enter: 1, leave: 1, minFrames: 1, ...READ_OPTIONS })
  const { enter, leave, minFrames, ...given } = options
  const reading = { onWarning: sessionsOf(model).engines.warn, ...given }
  const detector = new EventDetector(model.labels, {
    ...(enter !== undefined && { enter }),
    ...(leave !== undefined && { leave }),
    ...(minFrames !== undefined && { minFrames }),
  })
  const { signal } = reading
  let last: FrameAnswer | undefined
  let time: number | null = null
  for await (const frame of ahead(framesOf(source, model.config.imageSize, reading))) {
    time = timeOf(frame) ?? null
    last = await stream.push(frame, signal ? { signal } : {})
    const b = last.tops.length
    if (b !== 1) throw new TrecvitError(`"events" expected a stream of one video, got b = ${b}`)
    yield* detector.add(last, last.frame, time)
  }
  if (last) yield* detector.end(last, last.frame, time)
}

function checkProbability(name: string, value: unknown, most: number): void {
  if (typeof value === 'number' && value > 0 && value <= most) return
  throw new TrecvitError(
    `"${name}" expected a probability above 0, at most ${most}, got ${describe(value)}`,
  )
}
