import { toHalves } from '../../base/f16.ts'

/**
 * Writes float16 numbers to buffers. WebGPU writes words of four bytes. If a row begins or ends
 * within a word, the other half of the word is written, too: its known value, or zero if it has not
 * been written yet.
 */
export class Halves {
  readonly #queue: GPUQueue
  /** Float16 numbers at the ends of rows, by buffer and index. */
  readonly #ends = new Map<GPUBuffer, Map<number, number>>()

  constructor(queue: GPUQueue) {
    this.#queue = queue
  }

  /** Rounds values to float16 and writes them to the elements from `at` on. */
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
