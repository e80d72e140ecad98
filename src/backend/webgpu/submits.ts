import type { Pace } from './pace.ts'
import { COPY_DST, MAP_READ, READ } from './usage.ts'

const { navigator } = globalThis as { navigator?: { userAgent?: string; gpu?: GPU } }

/**
 * Milliseconds between empty submits while results are awaited. Firefox polls for results every 100
 * ms, and at every submit.
 */
const POLL_INTERVAL = navigator?.userAgent?.includes('Firefox/') ? 1 : 0

/**
 * Whether mapAsync polls in every turn of the event loop until the results are there, as Dawn does
 * in Node and Bun. Polling occupies a core. Each poll also leaves objects that only a full garbage
 * collection frees: a stream on an H200 paused for 100 ms in every second. So mapAsync is called
 * shortly before the results are due.
 */
const SPINS = !navigator?.gpu

/** Consecutive bytes of a buffer. Both numbers are multiples of 4. */
export interface Span {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly bytes: number
}

/** See Submits.run. */
export type Run = (
  spans: readonly Span[],
  encode: (encoder: GPUCommandEncoder) => void,
  pace?: Pace,
) => Promise<ArrayBuffer[]>

/**
 * Submits work and reads results back. Each submit holds a staging buffer until its results are
 * mapped, so the next can be encoded and run meanwhile. Staging buffers are reused.
 */
export class Submits {
  readonly #device: GPUDevice
  /** Free staging buffers by size, a power of two. */
  readonly #free = new Map<number, GPUBuffer[]>()
  /** Resolves after the last work in the queue; undefined while no work is `alone`. */
  #lastInQueue: Promise<void> | undefined

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /**
   * Submits one command buffer and maps its results. Encoding and submit are synchronous, so calls
   * keep their order. While work is `alone`, calls wait, in order.
   * @param spans bytes that are copied back after the work
   * @param encode encodes the work, and may write to buffers
   * @param pace pace of similar work, to sleep instead of polling
   * @throws Error if the GPU refuses the work, or the error of mapAsync if the device is lost;
   * results are never stale
   */
  run(...args: Parameters<Run>): Promise<ArrayBuffer[]> {
    return this.#lastInQueue ? this.#queue(() => this.#runNow(...args)) : this.#runNow(...args)
  }

  /**
   * Runs work of several submits without any other submit in between: another submit of the same
   * stream would break its order, and one of another stream may share its buffers.
   */
  alone<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return this.#queue(() => work((...args) => this.#runNow(...args)))
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    const result = (this.#lastInQueue ?? Promise.resolve()).then(work)
    const last = result
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        if (this.#lastInQueue === last) this.#lastInQueue = undefined
      })
    this.#lastInQueue = last
    return result
  }

  async #runNow(...[spans, encode, pace]: Parameters<Run>): Promise<ArrayBuffer[]> {
    const bytes = Math.max(
      4,
      spans.reduce((sum, span) => sum + span.bytes, 0),
    )
    const size = 2 ** Math.max(8, Math.ceil(Math.log2(bytes)))
    this.#device.pushErrorScope('validation')
    const staging =
      this.#free.get(size)?.pop() ??
      this.#device.createBuffer({ label: 'staging', size, usage: MAP_READ | COPY_DST })
    const encoder = this.#device.createCommandEncoder()
    encode(encoder)
    let at = 0
    for (const span of spans) {
      encoder.copyBufferToBuffer(span.buffer, span.offset, staging, at, span.bytes)
      at += span.bytes
    }
    this.#device.queue.submit([encoder.finish()])
    const began = performance.now()
    const paced = SPINS ? pace : undefined
    const nap = paced?.begin(began)
    const polling = POLL_INTERVAL
      ? setInterval(() => this.#device.queue.submit([]), POLL_INTERVAL)
      : undefined
    try {
      const map = () => staging.mapAsync(READ, 0, bytes)
      const [refused] = await Promise.all([
        this.#device.popErrorScope(),
        nap ? new Promise((resolve) => setTimeout(resolve, nap)).then(map) : map(),
      ])
      if (refused) throw new Error(`The GPU refused a submit: ${refused.message}`)
    } catch (error) {
      staging.destroy()
      throw error
    } finally {
      paced?.end(began, performance.now())
      clearInterval(polling)
    }
    const mapped = staging.getMappedRange(0, bytes)
    let from = 0
    const values = spans.map((span) => mapped.slice(from, (from += span.bytes)))
    staging.unmap()
    this.#free.set(size, [...(this.#free.get(size) ?? []), staging])
    return values
  }

  dispose(): void {
    for (const buffers of this.#free.values()) for (const buffer of buffers) buffer.destroy()
    this.#free.clear()
  }
}
