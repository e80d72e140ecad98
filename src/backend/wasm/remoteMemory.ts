import type { Memory, Packing } from './memory.ts'
import type { Thread } from './thread.ts'

/** Linear memory of a worker, for pages that cannot share memory. Every access is a message. */
export class RemoteMemory implements Memory {
  size: number
  readonly #thread: Thread

  constructor(thread: Thread, size: number) {
    this.#thread = thread
    this.size = size
  }

  async grow(bytes: number): Promise<number> {
    return (this.size = await this.#thread.call('grow', [bytes]))
  }

  clear(at: number, bytes: number): void {
    this.#thread.post('clear', [at, bytes])
  }

  write(at: number, values: Uint8Array | Int8Array | Float32Array): void {
    this.#thread.post('write', [at, values.slice()])
  }

  pack(values: Float32Array | Int8Array, packing: Packing): void {
    // Without `slice`, the message would hold the whole buffer of a view.
    this.#thread.post('pack', [values.slice(), packing])
  }

  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array> {
    return this.#thread.call('read', [at, rows, columns, stride])
  }
}
