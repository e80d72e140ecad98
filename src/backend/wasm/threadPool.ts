import { cpuCapabilities } from './capabilities.ts'
import { Instance, type StepRange } from './instance.ts'
import { createMemory } from './kernels.ts'
import type { Machine } from './machine.ts'
import type { Memory } from './memory.ts'
import { RemoteMemory } from './remoteMemory.ts'
import { end, endWith, Thread } from './thread.ts'

/**
 * Workers that run every step together (assembly/index.ts) while the caller's thread is free:
 * several on one shared memory, or a single one with a memory of its own.
 */
export class ThreadPool implements Machine {
  readonly threads: number
  readonly memory: Memory
  readonly #threads: readonly Thread[]

  private constructor(threads: readonly Thread[], memory: Memory) {
    this.#threads = threads
    this.threads = threads.length
    this.memory = memory
    endWith(this, threads)
  }

  /**
   * Starts threads on a memory that they share with the caller, who has an instance on it, too.
   * Rejects if workers or shared memory are refused.
   */
  static async shared(
    module: WebAssembly.Module,
    count: number,
    url: string | URL | undefined,
  ): Promise<ThreadPool> {
    const memory = createMemory(true)
    const { choices } = cpuCapabilities()
    const instance = await Instance.open(module, choices, memory)
    const starts = await Promise.allSettled(
      Array.from({ length: count }, () => Thread.open(url, [module, choices, memory])),
    )
    const threads = starts.flatMap((start) =>
      start.status === 'fulfilled' ? [start.value.thread] : [],
    )
    const refusal = starts.find((start) => start.status === 'rejected')
    if (!refusal) return new ThreadPool(threads, instance)
    end(threads)
    throw refusal.reason
  }

  /** Starts one thread with a memory of its own. Rejects if workers are refused. */
  static async single(
    module: WebAssembly.Module,
    url: string | URL | undefined,
  ): Promise<ThreadPool> {
    const { thread, size } = await Thread.open(url, [module, cpuCapabilities().choices])
    return new ThreadPool([thread], new RemoteMemory(thread, size))
  }

  get lossReason(): string | null {
    return this.#threads.find(({ failure }) => failure !== null)?.failure ?? null
  }

  async run(steps: StepRange, timeout?: number): Promise<void> {
    try {
      await Promise.all(
        this.#threads.map((thread, index) =>
          thread.call('run', [index, this.threads, steps], timeout),
        ),
      )
    } catch (error) {
      // The other threads wait at a barrier for the one that failed, and the state of the stream is
      // half-written.
      end(this.#threads, error as Error)
      throw error
    }
  }

  dispose(): void {
    end(this.#threads)
  }
}
