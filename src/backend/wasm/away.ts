import { BASE, type Job, type Machine, type Packing } from './machine.ts'
import { end, endWith, Thread } from './thread.ts'

/**
 * One thread in a worker with a memory that is its own: for pages that may not share memory. What
 * the caller has for it goes by message.
 */
export class Away implements Machine {
  readonly threads: number = 1
  readonly base: number = BASE
  readonly #thread: Thread
  size: number

  private constructor(thread: Thread, size: number) {
    this.#thread = thread
    this.size = size
    endWith(this, [thread])
  }

  get failure(): string | null {
    return this.#thread.failure
  }

  /** Rejects if workers are refused. */
  static async start(module: WebAssembly.Module, url: string | URL | undefined): Promise<Away> {
    const { thread, size } = await Thread.open(url, [module])
    return new Away(thread, size)
  }

  async grow(bytes: number): Promise<void> {
    this.size = await this.#thread.call<number>('grow', [bytes])
  }

  clear(at: number, bytes: number): void {
    this.#thread.tell('clear', [at, bytes])
  }

  write(at: number, values: Uint8Array | Int8Array | Float32Array): void {
    this.#thread.tell('write', [at, values.slice()])
  }

  pack(values: Float32Array | Int8Array, packing: Packing): void {
    // Without `slice` the whole buffer that a view belongs to would be sent.
    this.#thread.tell('pack', [values.slice(), packing])
  }

  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array> {
    return this.#thread.call('read', [at, rows, columns, stride])
  }

  async run(job: Job, timeout?: number): Promise<void> {
    try {
      await this.#thread.call('run', [job], timeout)
    } catch (error) {
      // Kernels that trapped leave the state of the stream half-written.
      end([this.#thread], error as Error)
      throw error
    }
  }

  dispose(): void {
    end([this.#thread])
  }
}
