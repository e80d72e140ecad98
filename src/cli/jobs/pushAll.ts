/** Pushes the frames of a job into its stream, from where another worker has stopped. */
import { overlap } from '../../stream/overlap.ts'
import type { Stream } from '../../stream/stream.ts'
import type { Frame } from '../../video/frame.ts'
import type { Keeper } from './keeper.ts'

/** What is done with the answers of a stream. */
export interface Use<Answer, State> {
  /** Called with each answer, in order. */
  use(answer: Answer, frame: Frame): void | Promise<void>
  /** Returns the state after the last answer. */
  state(): State
}

/**
 * Pushes the frames after those that are done, and saves the state when it is due and when the
 * signal is aborted.
 * @returns the number of frames that are done
 */
export async function pushAll<Answer, State>(
  stream: Stream<Answer>,
  frames: AsyncIterable<Frame>,
  keeper: Keeper<State>,
  { use, state }: Use<Answer, State>,
  signal: AbortSignal,
): Promise<number> {
  let pushed = keeper.from?.frames ?? 0
  let done = pushed
  // A snapshot is taken between two frames. It is saved once the frames before it are answered.
  let taken: { after: number; snapshot: Promise<Uint8Array> } | undefined
  const take = (): void => {
    taken = { after: pushed, snapshot: stream.snapshot() }
    taken.snapshot.catch(() => {})
  }
  const save = async (): Promise<void> => {
    if (taken?.after !== done) return
    const { snapshot } = taken
    taken = undefined
    await keeper.save(done, state(), snapshot)
  }
  await overlap(
    after(frames, done),
    (frame) => {
      if (!taken && keeper.isDue) take()
      void save()
      pushed++
      return stream.push(frame)
    },
    async (answer, frame) => {
      await use(answer, frame)
      done++
      void save()
    },
  )
  if (signal.aborted && done > 0) {
    take()
    await save()
  }
  return done
}

/** Yields the frames after the first `count`. */
async function* after(frames: AsyncIterable<Frame>, count: number): AsyncGenerator<Frame> {
  let seen = 0
  for await (const frame of frames) if (seen++ >= count) yield frame
}
