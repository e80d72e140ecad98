import { toHalves } from '../../base/f16.ts'

/**
 * Writes float16 numbers to buffers. WebGPU writes words of four bytes, so where a line begins or
 * ends within a word, its other half is written again if it is known, and as zero if it is yet to
 * come.
 */
export class Halves {
  readonly #queue: GPUQueue
  /** Halves at the ends of lines, by buffer and index. */
  readonly #ends = new Map<GPUBuffer, Map<number, number>>()

  constructor(queue: GPUQueue) {
    this.#queue = queue
  }

  /** Rounds values and puts them at halves `at`.. of the buffer. */
  write(buffer: GPUBuffer, at: number, values: Float32Array): void {
    let ends = this.#ends.get(buffer)
    if (!ends) this.#ends.set(buffer, (ends = new Map()))
    const lead = at % 2
    const end = at + values.length
    const halves = new Uint16Array(lead + values.length + (end % 2))
    toHalves(values, halves.subarray(lead))
    if (lead) {
      halves[0] = ends.get(at - 1) ?? 0
      ends.set(at, halves[1]!)
    }
    if (end % 2) {
      halves[halves.length - 1] = ends.get(end) ?? 0
      ends.set(end - 1, halves[halves.length - 2]!)
    }
    this.#queue.writeBuffer(buffer, 2 * (at - lead), halves)
  }
}
