import type { Average } from '../program/program.ts'
import type { FrameSource } from '../stream/frames.ts'
import type { Session } from '../stream/session.ts'
import { Stream, type StreamModel, type StreamOptions, type ToAnswer } from '../stream/stream.ts'
import type { ReadOptions } from '../video/read.ts'
import type { EventOptions, VideoEvent } from './events.ts'
import type { ClassModel, FrameAnswer } from './heads/classification.ts'

/** A stream that classifies. */
export class ClassStream extends Stream<FrameAnswer> {
  readonly #model: ClassModel & StreamModel

  /** Use `model.stream()`. */
  constructor(
    model: ClassModel & StreamModel,
    session: Session,
    average: Average,
    toAnswer: ToAnswer<FrameAnswer>,
    pixels?: StreamOptions['pixels'],
  ) {
    super(model, session, average, toAnswer, pixels)
    this.#model = model
  }

  /**
   * Pushes frames as `run` does, and yields events: a class enters, or leaves. A class
   * enters once its probability was at least `enter` in `minFrames` answers in a row, and leaves
   * once it was below `leave` in as many. Partial answers are skipped. At the end of the frames
   * every class that is present leaves.
   * @param frames of one video: frames, or a file by path, URL, Blob or bytes
   * @param options thresholds; and for files those of `run`
   * @throws TrecvitError if an option is out of range, or as `run` does
   * @example
   * for await (const { type, label } of stream.events(await camera(), { enter: 0.6, leave: 0.4 }))
   *   console.log(type, label)
   */
  async *events(
    frames: FrameSource,
    options: EventOptions & ReadOptions = {},
  ): AsyncGenerator<VideoEvent, void, undefined> {
    const { eventsOf } = await import('./events.ts')
    yield* eventsOf(this, this.#model, frames, options)
  }
}
