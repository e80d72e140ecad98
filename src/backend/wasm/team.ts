import type { Kernels } from './kernels.ts'
import { Here, type Job } from './machine.ts'
import { end, endWith, Thread } from './thread.ts'

/**
 * Threads on one shared memory, which walk a program together (assembly/index.ts) while the
 * caller's thread is free. The caller reads and writes the memory through kernels of its own.
 */
export class Team extends Here {
  override readonly threads: number
  readonly #team: readonly Thread[]

  private constructor(kernels: Kernels, memory: WebAssembly.Memory, team: readonly Thread[]) {
    super(kernels, memory)
    this.#team = team
    this.threads = team.length
    endWith(this, team)
  }

  /** Rejects if workers, or sharing memory with them, are refused. */
  static async start(
    module: WebAssembly.Module,
    threads: number,
    url: string | URL | undefined,
  ): Promise<Team> {
    const memory = Here.memory(true)
    const kernels = await Here.kernels(module, memory)
    const starts = await Promise.allSettled(
      Array.from({ length: threads }, () => Thread.open(url, [module, memory])),
    )
    const team = starts.flatMap((start) =>
      start.status === 'fulfilled' ? [start.value.thread] : [],
    )
    const refusal = starts.find((start) => start.status === 'rejected')
    if (!refusal) return new Team(kernels, memory, team)
    end(team)
    throw refusal.reason
  }

  override get failure(): string | null {
    return this.#team.find(({ failure }) => failure !== null)?.failure ?? null
  }

  override async run(job: Job, timeout?: number): Promise<void> {
    try {
      await Promise.all(
        this.#team.map((thread, index) => thread.call('work', [index, this.threads, job], timeout)),
      )
    } catch (error) {
      // The other threads wait for the one that failed.
      end(this.#team, error as Error)
      throw error
    }
  }

  override dispose(): void {
    end(this.#team)
  }
}
