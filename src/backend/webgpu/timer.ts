import type { Step, Tensor } from '../../program/program.ts'
import type { Watch } from '../backend.ts'
import type { Run, Span } from './submits.ts'
import { COPY_SRC, QUERY_RESOLVE } from './usage.ts'

/** How the steps of a replay run, and how its tensors are read. */
interface Watched {
  /** Encodes the dispatches of a step. */
  encode(pass: GPUComputePassEncoder, step: Step): void
  read(output: Tensor): Promise<Float32Array>
}

/** Runs each step in its own submit, and reports its time and its outputs. */
export async function watchSteps(
  device: GPUDevice,
  steps: readonly Step[],
  watch: Watch,
  run: Run,
  { encode, read }: Watched,
): Promise<void> {
  const timer = new Timer(device)
  try {
    for (const step of steps) {
      const times = await run(timer.spans, (encoder) =>
        timer.pass(encoder, (pass) => encode(pass, step)),
      )
      await watch(step, timer.milliseconds(times), read)
    }
  } finally {
    timer.dispose()
  }
}

/**
 * Time of one pass. With the feature `timestamp-query` the GPU's own clock measures it. Otherwise
 * it is the time from the submit to the arrival of the results, which includes the round trip.
 */
class Timer {
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
