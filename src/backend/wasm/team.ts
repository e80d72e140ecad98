import { Here, type Job, type Machine, type Packing } from './machine.ts'
import { end, endWith, Thread } from './thread.ts'

/**
 * Threads on one shared memory, which walk a program together (assembly/index.ts) while the caller's
 * thread is free. The caller reads and writes the memory through kernels of its own.
 */
export class Team implements Machine {
  readonly threads: number
  readonly base: number
  readonly #own: Here
  readonly #team: readonly Thread[]

  private constructor(own: Here, team: readonly Thread[]) {
    this.#own = own
    this.#team = team
    this.base = own.base
    this.threads = team.length
    endWith(this, team)
  }

  /** Rejects if workers, or sharing memory with them, are refused. */
  static async start(module: WebAssembly.Module, threads: number, url: string | URL | undefined): Promise<Team> {
    const memory = Here.memory(true)
    const own = await Here.open(module, memory)
    const starts = await Promise.allSettled(Array.from({ length: threads }, () => Thread.open(url, [module, memory])))
    const team = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value.thread] : []))
    const refusal = starts.find((start) => start.status === 'rejected')
    if (!refusal) return new Team(own, team)
    end(team)
    throw refusal.reason
  }

  get failure(): string | null {
    return this.#team.find(({ failure }) => failure !== null)?.failure ?? null
  }

  get size(): number {
    return this.#own.size
  }

  grow(bytes: number): Promise<void> {
    return this.#own.grow(bytes)
  }

  clear(at: number, bytes: number): void {
    this.#own.clear(at, bytes)
  }

  write(at: number, values: Uint8Array | Int8Array | Float32Array): void {
    this.#own.write(at, values)
  }

  pack(values: Float32Array | Int8Array, packing: Packing): void {
    this.#own.pack(values, packing)
  }

  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array> {
    return this.#own.read(at, rows, columns, stride)
  }

  async run(job: Job, timeout?: number): Promise<void> {
    try {
      await Promise.all(this.#team.map((thread, index) => thread.call('work', [index, this.threads, job], timeout)))
    } catch (error) {
      // The other threads wait for the one that failed.
      end(this.#team, error as Error)
      throw error
    }
  }

  dispose(): void {
    end(this.#team)
  }
}
