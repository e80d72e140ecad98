import { Pace } from './pace.ts'
import { COPY_DST, MAP_READ } from './usage.ts'
import type { Wait } from './wait.ts'

/** Consecutive bytes of a buffer. Both numbers are multiples of 4. */
export interface Span {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly bytes: number
}

/** Largest number of free staging buffers of a size. */
const MOST_FREE = 8

/** See Submits.run. */
export type Run = (
  spans: readonly Span[],
  encode: (encoder: GPUCommandEncoder) => void,
) => Promise<ArrayBuffer[]>

/**
 * Submits work and reads results back. Each submit holds a staging buffer until its results are
 * mapped, so the next can be encoded and run meanwhile. Staging buffers are reused.
 */
export class Submits {
  readonly #device: GPUDevice
  readonly #wait: Wait
  /** Free staging buffers by size, a power of two. */
  readonly #free = new Map<number, GPUBuffer[]>()
  /** Resolves after the last work in the queue; undefined while no work is `alone`. */
  #lastInQueue: Promise<void> | undefined

  constructor(device: GPUDevice, wait: Wait) {
    this.#device = device
    this.#wait = wait
  }

  /**
   * Submits one command buffer and maps its results. Encoding and submit are synchronous, so calls
   * keep their order. While work is `alone`, calls wait, in order.
   * @param spans bytes that are copied back after the work
   * @param encode encodes the work, and may write to buffers
   * @throws Error if the GPU refuses the work, or the error of mapAsync if the device is lost;
   * results are never stale
   */
  run(...args: Parameters<Run>): Promise<ArrayBuffer[]> {
    return this.#runInOrder(undefined, args)
  }

  /** Returns `run` for work of similar duration, which is slept through if waiting is busy. */
  paced(): Run {
    const pace = this.#wait.sleepsBefore ? new Pace() : undefined
    return (...args) => this.#runInOrder(pace, args)
  }

  /**
   * Runs work of several submits without any other submit in between: another submit of the same
   * stream would break its order, and one of another stream may share its buffers.
   */
  alone<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return this.#queue(() => work((...args) => this.#runNow(undefined, args)))
  }

  #runInOrder(pace: Pace | undefined, args: Parameters<Run>): Promise<ArrayBuffer[]> {
    const run = () => this.#runNow(pace, args)
    return this.#lastInQueue ? this.#queue(run) : run()
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

  async #runNow(pace: Pace | undefined, [spans, encode]: Parameters<Run>): Promise<ArrayBuffer[]> {
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
    const nap = pace?.begin(began)
    try {
      const map = () => this.#wait.map(staging, bytes)
      const [refused] = await Promise.all([
        this.#device.popErrorScope(),
        nap ? new Promise((resolve) => setTimeout(resolve, nap)).then(map) : map(),
      ])
      if (refused) throw new Error(`The GPU refused a submit: ${refused.message}`)
    } catch (error) {
      staging.destroy()
      throw error
    } finally {
      pace?.end(began, performance.now())
    }
    const mapped = staging.getMappedRange(0, bytes)
    let from = 0
    const values = spans.map((span) => mapped.slice(from, (from += span.bytes)))
    staging.unmap()
    const free = this.#free.get(size) ?? []
    if (free.length < MOST_FREE) this.#free.set(size, [...free, staging])
    else staging.destroy()
    return values
  }

  dispose(): void {
    for (const buffers of this.#free.values()) for (const buffer of buffers) buffer.destroy()
    this.#free.clear()
  }
}
