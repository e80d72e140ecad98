import { TrecvitError } from '../../error.ts'

const PAGE = 65536
const LIMIT = 65536 * PAGE

/**
 * Blocks of linear memory: first fit over a list of free ranges, which meet again when their neighbour comes free. Memory grows when
 * nothing fits. Growing detaches every earlier view of the memory, so views are made anew for each use.
 */
export class LinearMemory {
  readonly memory: WebAssembly.Memory
  readonly #free: { at: number; bytes: number }[]
  readonly #taken = new Map<number, number>()

  /** @param base first byte that is free */
  constructor(memory: WebAssembly.Memory, base: number) {
    this.memory = memory
    const at = Math.ceil(base / 64) * 64
    this.#free = [{ at, bytes: memory.buffer.byteLength - at }]
  }

  /**
   * @returns address of `bytes` zero bytes, a multiple of 64
   * @throws TrecvitError saying what is missing when the 4 GiB of WebAssembly or the machine's memory do not suffice
   */
  take(bytes: number, what: string): number {
    const size = Math.max(64, Math.ceil(bytes / 64) * 64)
    let range = this.#free.find((free) => free.bytes >= size)
    if (!range) range = this.#grow(size, what)
    const { at } = range
    range.at += size
    range.bytes -= size
    if (range.bytes === 0) this.#free.splice(this.#free.indexOf(range), 1)
    this.#taken.set(at, size)
    this.bytes(at, size).fill(0)
    return at
  }

  /** Gives a block back. */
  free(at: number): void {
    const bytes = this.#taken.get(at)
    if (bytes === undefined) return
    this.#taken.delete(at)
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

  bytes(at: number, count: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer, at, count)
  }

  floats(at: number, count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer as ArrayBuffer, at, count)
  }

  #grow(size: number, what: string): { at: number; bytes: number } {
    const end = this.memory.buffer.byteLength
    const last = this.#free[this.#free.length - 1]
    const open = last && last.at + last.bytes === end ? last : undefined
    const missing = size - (open?.bytes ?? 0)
    const mega = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`
    const refuse = (why: string) => new TrecvitError(`${what} need ${mega(size)}, but ${why}; a smaller model, chunk or number of streams would fit`)
    if (end + missing > LIMIT) throw refuse(`WebAssembly memory ends at 4 GiB and ${mega(end - (open?.bytes ?? 0))} are taken`)
    try {
      this.memory.grow(Math.ceil(missing / PAGE))
    } catch {
      throw refuse(`the system gave no more than the ${mega(end)} already in use`)
    }
    const grown = this.memory.buffer.byteLength - end
    if (open) {
      open.bytes += grown
      return open
    }
    const range = { at: end, bytes: grown }
    this.#free.push(range)
    return range
  }
}
