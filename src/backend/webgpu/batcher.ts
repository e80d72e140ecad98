import { yieldToEventLoop } from '../../platform/platform.ts'
import type { Inputs } from '../backend.ts'
import type { Position, Slot } from './slab.ts'

/** Largest number of batches under way. The GPU computes one while the next is encoded. */
const DEPTH = 2

/** A chunk of frames of one stream. */
export interface StreamChunk extends Position {
  readonly inputs: Inputs
}

type Outputs = Record<string, Float32Array>

/** Runs a program for one stream or for several. */
export interface Batches {
  /** Returns a number of streams, at most `count`, that can be a batch. */
  sizeFor(count: number): number
  /** Submits chunks, synchronously. Returns the outputs of each. */
  run(chunks: readonly StreamChunk[]): Promise<Outputs[]>
}

/** Work that waits for its turn. Exactly one of the two methods is called. */
interface Turn {
  start(): void
  reject(error: unknown): void
}

/** A chunk that waits. */
interface Waiting {
  readonly chunk: StreamChunk
  readonly batches: Batches
  resolve(outputs: Outputs): void
  reject(error: unknown): void
  /** Other work of the stream that comes directly after it. */
  readonly after: Turn[]
}

/**
 * Joins chunks of several streams into batches. A chunk waits while two batches are under way, and
 * for one turn of the event loop: streams that are answered together push their next frames
 * together. A chunk of a stream that is alone in its slab does not wait for a turn.
 */
export class Batcher {
  #waiting: Waiting[] = []
  #underWay = 0
  #isScheduled = false

  /** Runs a chunk, alone or in a batch. */
  run(batches: Batches, chunk: StreamChunk): Promise<Outputs> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ chunk, batches, resolve, reject, after: [] })
      if (chunk.state.slab.streams > 1) this.#schedule()
      else this.#issue()
    })
  }

  /** Starts other work of a stream, after its waiting chunks. */
  after<T>(state: Slot, work: () => Promise<T>): Promise<T> {
    const last = this.#waiting.findLast(({ chunk }) => chunk.state === state)
    if (!last) return work()
    return new Promise((resolve, reject) =>
      last.after.push({ start: () => work().then(resolve, reject), reject }),
    )
  }

  /** Rejects the waiting chunks of a stream, and the work after them. */
  drop(state: Slot): void {
    const isOwn = ({ chunk }: Waiting): boolean => chunk.state === state
    const dropped = this.#waiting.filter(isOwn)
    this.#waiting = this.#waiting.filter((waiting) => !isOwn(waiting))
    for (const { reject } of dropped.flatMap((waiting) => [waiting, ...waiting.after]))
      reject(new Error('The state of the stream was freed'))
  }

  /** Issues batches in the next turn of the event loop. */
  #schedule(): void {
    if (this.#isScheduled || !this.#waiting.length) return
    this.#isScheduled = true
    void yieldToEventLoop().then(() => {
      this.#isScheduled = false
      this.#issue()
    })
  }

  #issue(): void {
    while (this.#underWay < DEPTH && this.#waiting.length) {
      const batch = this.#take()
      this.#underWay++
      batch[0]!.batches
        .run(batch.map(({ chunk }) => chunk))
        .then(
          (outputs) => batch.forEach(({ resolve }, index) => resolve(outputs[index]!)),
          (error: unknown) => batch.forEach(({ reject }) => reject(error)),
        )
        .finally(() => {
          this.#underWay--
          this.#schedule()
        })
      for (const { start } of batch.flatMap(({ after }) => after)) start()
    }
  }

  /**
   * Removes the next batch: the chunk that has waited longest, and others of its program and its
   * slab, at most one of each stream. A chunk does not overtake those of its stream.
   */
  #take(): Waiting[] {
    const [first] = this.#waiting as [Waiting]
    const seen = new Set<Slot>()
    const joining = this.#waiting.filter(({ batches, chunk: { state } }) => {
      const isFirst = !seen.has(state)
      seen.add(state)
      return isFirst && batches === first.batches && state.slab === first.chunk.state.slab
    })
    const batch = joining.slice(0, first.batches.sizeFor(joining.length))
    this.#waiting = this.#waiting.filter((waiting) => !batch.includes(waiting))
    return batch
  }
}
