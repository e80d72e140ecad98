import { TrecvitError } from '../../base/error.ts'
import type { Memory } from './memory.ts'

const LIMIT = 2 ** 32

/** The part of Memory that an allocator uses. */
export type Heap = Pick<Memory, 'size' | 'grow' | 'clear'>

/**
 * Allocates blocks of linear memory: first fit over a list of free ranges. Neighbouring free ranges
 * are merged. Memory grows if nothing fits.
 */
export class Allocator {
  readonly #memory: Heap
  readonly #free: { at: number; bytes: number }[]
  readonly #taken = new Map<number, number>()
  /** Memory from this address on was never allocated, so it is zero. */
  #untouched: number
  #growing: Promise<void> | undefined

  /** @param base where the first block may begin */
  constructor(memory: Heap, base: number) {
    this.#memory = memory
    const at = Math.ceil(base / 64) * 64
    this.#free = [{ at, bytes: memory.size - at }]
    this.#untouched = at
  }

  /**
   * Allocates `bytes` zero bytes.
   * @returns their address, a multiple of 64
   * @throws TrecvitError naming what does not fit, if it exceeds the 4 GiB of WebAssembly or the
   * memory of the system
   */
  async take(bytes: number, what: string): Promise<number> {
    const size = Math.max(64, Math.ceil(bytes / 64) * 64)
    let range: { at: number; bytes: number } | undefined
    while (!(range = this.#free.find((free) => free.bytes >= size))) {
      // One growth at a time: memory that another call adds may suffice for this one, too.
      if (this.#growing) await this.#growing.catch(() => {})
      else await (this.#growing = this.#grow(size, what).finally(() => (this.#growing = undefined)))
    }
    const { at } = range
    range.at += size
    range.bytes -= size
    if (range.bytes === 0) this.#free.splice(this.#free.indexOf(range), 1)
    this.#taken.set(at, size)
    if (at < this.#untouched) this.#memory.clear(at, Math.min(size, this.#untouched - at))
    this.#untouched = Math.max(this.#untouched, at + size)
    return at
  }

  /** Frees a block. */
  free(at: number): void {
    const bytes = this.#taken.get(at)
    if (bytes === undefined) return
    this.#taken.delete(at)
    this.#release(at, bytes)
  }

  #release(at: number, bytes: number): void {
    const index = this.#free.findIndex((free) => free.at > at)
    const next = index < 0 ? this.#free.length : index
    this.#free.splice(next, 0, { at, bytes })
    for (const left of [next, next - 1]) {
      const one = this.#free[left]
      const other = this.#free[left + 1]
      if (one && other && one.at + one.bytes === other.at) {
        one.bytes += other.bytes
        this.#free.splice(left + 1, 1)
      }
    }
  }

  async #grow(size: number, what: string): Promise<void> {
    const end = this.#memory.size
    const last = this.#free[this.#free.length - 1]
    const open = last && last.at + last.bytes === end ? last.bytes : 0
    const missing = size - open
    const mega = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`
    const refuse = (why: string) =>
      new TrecvitError(
        `${what} need ${mega(size)}, but ${why}; use a smaller model, ` +
          'shorter chunks or fewer streams',
      )
    if (end + missing > LIMIT)
      throw refuse(`WebAssembly memory ends at 4 GiB, of which ${mega(end - open)} are in use`)
    try {
      await this.#memory.grow(missing)
    } catch {
      throw refuse(`the system has no more than the ${mega(end)} already in use`)
    }
    this.#release(end, this.#memory.size - end)
  }
}
