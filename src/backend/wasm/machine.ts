import { breathe } from '../../platform/platform.ts'
import type { Instance, StepRange } from './instance.ts'
import type { Memory } from './memory.ts'

/** Where kernels run: the caller's thread, or a pool of threads beside it. */
export interface Machine {
  readonly threads: number
  readonly memory: Memory
  /** Why the machine can be used no more, or null. */
  readonly failure: string | null
  /**
   * Runs steps. What they read or write must be left alone until they are done.
   * @param timeout seconds after which a worker that does not answer is given up
   * @throws TrecvitError if a worker failed; the machine is of no use then (`failure`)
   */
  run(steps: StepRange, timeout?: number): Promise<void>
  dispose(): void
}

/** Milliseconds of work after which the event loop gets a turn. */
const PAUSE = 8

/** The caller's thread, for small work and where there are no workers. */
export class CallerThread implements Machine {
  readonly threads: number = 1
  readonly memory: Instance
  readonly failure: string | null = null
  #breathed = 0

  constructor(memory: Instance) {
    this.memory = memory
  }

  /** Not after each of many small frames: pages make timers wait for milliseconds. */
  async run(steps: StepRange): Promise<void> {
    if (performance.now() - this.#breathed > PAUSE) {
      await breathe()
      this.#breathed = performance.now()
    }
    this.memory.run(0, 1, steps)
  }

  dispose(): void {}
}
