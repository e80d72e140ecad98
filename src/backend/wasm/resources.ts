import type { Allocator } from './allocator.ts'
import type { Build } from './builds.ts'
import type { Machine } from './machine.ts'

/** A machine with the weights of a model in its memory, shared by replays and states. */
export interface Resources {
  readonly machine: Machine
  /** Build of the kernels of the machine. */
  readonly build: Build
  readonly allocator: Allocator
  /** Address of each weight by name. */
  readonly weights: ReadonlyMap<string, number>
  readonly turns: Turns
}

/** A lock. Streams that share a machine run one at a time, in the order of their calls. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }
}
