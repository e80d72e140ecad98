import type { Pace } from './pace.ts'
import { COPY_DST, MAP_READ, READ } from './usage.ts'

const { navigator } = globalThis as { navigator?: { userAgent?: string; gpu?: GPU } }

/**
 * Milliseconds between submits of nothing while results are awaited: Firefox looks for them every
 * 100 ms, and with every submit.
 */
const NUDGE = navigator?.userAgent?.includes('Firefox/') ? 1 : 0

/**
 * Whether results are looked for in every turn of the event loop from when they are asked for, as
 * Dawn does in Node and Bun. That takes a processor, and what each look leaves behind goes only
 * with a full collection of garbage: a stream on an H200 stood still for 100 ms in every second. So
 * they are asked for shortly before they are due.
 */
const SPINS = !navigator?.gpu

/** Consecutive bytes of a buffer; both numbers are multiples of 4. */
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
 * mapped, so the next can be encoded and run meanwhile; there are as many as were ever needed at
 * once.
 */
export class Submits {
  readonly #device: GPUDevice
  /** Free staging buffers by size, a power of two. */
  readonly #free = new Map<number, GPUBuffer[]>()
  /** Ends with the last work in line; undefined while nothing is alone. */
  #line: Promise<void> | undefined

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /**
   * One command buffer, one submit and one mapping. Everything up to the submit happens before this
   * returns, so calls keep their order; while something is `alone`, they wait in line in their
   * order.
   * @param spans what is copied back after the work
   * @param encode encodes the work, and may write to buffers
   * @param pace of works like this, to sleep while it is under way
   * @throws Error if the GPU refuses any of it, or whatever mapAsync rejects with, as when the
   * device is lost; results are never stale
   */
  run(...args: Parameters<Run>): Promise<ArrayBuffer[]> {
    return this.#line ? this.#queue(() => this.#runNow(...args)) : this.#runNow(...args)
  }

  /**
   * Does work of several runs, between which no other run comes: neither of the same stream, whose
   * order must hold, nor of another one, which may share its buffers.
   */
  alone<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return this.#queue(() => work((...args) => this.#runNow(...args)))
  }

  #queue<T>(work: () => Promise<T>): Promise<T> {
    const result = (this.#line ?? Promise.resolve()).then(work)
    const line = result
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        if (this.#line === line) this.#line = undefined
      })
    this.#line = line
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
    const nudging = NUDGE ? setInterval(() => this.#device.queue.submit([]), NUDGE) : undefined
    try {
      const map = () => staging.mapAsync(READ, 0, bytes)
      const [refused] = await Promise.all([
        this.#device.popErrorScope(),
        nap ? new Promise((resolve) => setTimeout(resolve, nap)).then(map) : map(),
      ])
      if (refused) throw new Error(`The GPU refused its work: ${refused.message}`)
    } catch (error) {
      staging.destroy()
      throw error
    } finally {
      paced?.end(began, performance.now())
      clearInterval(nudging)
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
