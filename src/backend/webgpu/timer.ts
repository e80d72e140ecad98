import type { Span } from './submits.ts'
import { COPY_SRC, QUERY_RESOLVE } from './usage.ts'

/**
 * Time of one pass. With the feature `timestamp-query` the GPU's own clock measures it. Otherwise
 * it is the time from the submit to the arrival of the results, which includes the round trip.
 */
export class Timer {
  readonly #queries: GPUQuerySet | undefined
  readonly #resolved: GPUBuffer | undefined
  #start = 0

  constructor(device: GPUDevice) {
    if (!device.features.has('timestamp-query')) return
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 })
    this.#resolved = device.createBuffer({
      label: 'timestamps',
      size: 16,
      usage: QUERY_RESOLVE | COPY_SRC,
    })
  }

  /** Bytes to read back after the pass. */
  get spans(): Span[] {
    return this.#resolved ? [{ buffer: this.#resolved, offset: 0, bytes: 16 }] : []
  }

  /** Encodes a pass with timestamps. */
  pass(encoder: GPUCommandEncoder, encode: (pass: GPUComputePassEncoder) => void): void {
    this.#start = performance.now()
    const timestampWrites = this.#queries && {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 0,
      endOfPassWriteIndex: 1,
    }
    const pass = encoder.beginComputePass(timestampWrites ? { timestampWrites } : {})
    encode(pass)
    pass.end()
    if (this.#queries && this.#resolved)
      encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0)
  }

  /**
   * Returns the time of the pass.
   * @param values the spans, read back
   */
  milliseconds([values]: readonly ArrayBuffer[]): number {
    if (!values) return performance.now() - this.#start
    const [begin, end] = new BigUint64Array(values) as unknown as [bigint, bigint]
    return Math.max(0, Number(end - begin) / 1e6)
  }

  dispose(): void {
    this.#queries?.destroy()
    this.#resolved?.destroy()
  }
}
