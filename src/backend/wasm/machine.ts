import { yieldToEventLoop } from '../../platform/platform.ts'
import type { Instance, StepRange } from './instance.ts'
import type { Memory } from './memory.ts'

/** Where kernels run: the caller's thread, or a pool of threads beside it. */
export interface Machine {
  readonly threads: number
  readonly memory: Memory
  /** Why the machine can no longer be used, or null. */
  readonly lossReason: string | null
  /**
   * Runs steps. Their inputs and outputs must not be used until they are done.
   * @param timeout seconds after which a worker that does not answer is ended
   * @throws TrecvitError if a worker failed. `lossReason` then says why, and the machine can no
   * longer be used.
   */
  run(steps: StepRange, timeout?: number): Promise<void>
  dispose(): void
}

/** Milliseconds of computation after which the event loop gets a turn. */
const PAUSE = 8

/** Runs kernels on the caller's thread, for small work and without workers. */
export class CallerThread implements Machine {
  readonly threads: number = 1
  readonly memory: Instance
  readonly lossReason: string | null = null
  #yieldedAt = 0

  constructor(memory: Instance) {
    this.memory = memory
  }

  /**
   * There is no pause after each of many small frames: in pages a timer takes some milliseconds.
   */
  async run(steps: StepRange): Promise<void> {
    if (performance.now() - this.#yieldedAt > PAUSE) {
      await yieldToEventLoop()
      this.#yieldedAt = performance.now()
    }
    this.memory.run(0, 1, steps)
  }

  dispose(): void {}
}
