/**
 * Objects of the soak test: two models, up to eight streams, their faults, and an undisturbed
 * reference.
 */
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import type { NdArray } from '../../src/base/array.ts'
import { noise } from '../../src/bench/lib/weights.ts'
import {
  type Average,
  type FrameAnswer,
  type Stream,
  TRecViT,
  TrecvitError,
} from '../../src/index.ts'
import { type FragileGpu, fragileGpu, type WatchedWorkers, watchedWorkers } from '../faults.ts'

/** Error bound of a GPU, relative to the largest logit. */
const BOUND = 1e-4
const SIDE = 32
const FRAMES = 64
const THREADS = 2
export const MOST_STREAMS = 8
/** Milliseconds after which a stream without a result has failed. */
const TIMEOUT = 120_000

/** Returns frame `index` for batch size b: bytes, or floats if the index is odd. */
export function frameOf(index: number, b: number): NdArray {
  const next = noise(1000 + (index % FRAMES))
  const size = b * SIDE * SIDE * 3
  const shape = b === 1 ? [SIDE, SIDE, 3] : [b, SIDE, SIDE, 3]
  if (index % 2) return { data: Float32Array.from({ length: size }, () => 0.5 + next() / 2), shape }
  return { data: Uint8Array.from({ length: size }, () => 128 + 127 * next()), shape }
}

/** A snapshot of a stream, and that of its reference at the same frame. */
export interface Saved {
  readonly bytes: Uint8Array
  readonly reference: Uint8Array
  readonly b: number
  readonly average: Average
  readonly exact: boolean
}

/** A stream under test with its reference. */
export class Follower {
  readonly stream: Stream
  readonly home: Home
  readonly b: number
  readonly average: Average
  /** Whether all of its state was computed on the CPU. */
  exact: boolean
  ended = false
  readonly #reference: Stream
  /** Checks in the order of the calls. Each waits for the earlier ones. */
  #checked: Promise<void> = Promise.resolve()
  #fault: unknown

  constructor(
    stream: Stream,
    reference: Stream,
    home: Home,
    b: number,
    average: Average,
    exact: boolean,
  ) {
    this.stream = stream
    this.#reference = reference
    this.home = home
    this.b = b
    this.average = average
    this.exact = exact
  }

  /**
   * Checks a pushed frame: an accepted frame must have the result of the reference. A refused frame
   * is not part of the stream.
   */
  pushed(index: number, answer: Promise<FrameAnswer>, expected: (error: unknown) => boolean): void {
    this.#then(answer, expected, async (got) => {
      const want = await this.#reference.push(frameOf(index, this.b))
      expect(got.frame).toBe(want.frame)
      const what =
        `frame ${got.frame} of a stream with average ${JSON.stringify(this.average)} and batch ` +
        `size ${this.b}`
      this.#compare(what, got.logits.data, want.logits.data)
      this.#compare(`${what}, overall`, got.overall.logits.data, want.overall.logits.data)
    })
  }

  traced(index: number, tensors: Promise<Map<string, NdArray<Float32Array>>>): void {
    this.#then(tensors, isOwnError, async (got) => {
      const want = await this.#reference.trace(frameOf(index, this.b))
      expect([...got.keys()]).toEqual([...want.keys()])
      this.#compare('a trace', got.get('logits')!.data, want.get('logits')!.data)
    })
  }

  reset(done: Promise<void>): void {
    this.#then(done, isOwnError, () => this.#reference.reset())
  }

  moved(done: Promise<void>): void {
    this.#then(done, isOwnError, async () => {})
  }

  saved(bytes: Promise<Uint8Array>, keep: (saved: Saved) => void): void {
    this.#then(bytes, isOwnError, async (got) => {
      const { b, average, exact } = this
      keep({ bytes: got, reference: await this.#reference.snapshot(), b, average, exact })
    })
  }

  /** Rejects with the first fault. */
  async settle(): Promise<void> {
    await this.#checked
    if (this.#fault) throw this.#fault
  }

  async dispose(): Promise<void> {
    this.ended = true
    await this.stream.dispose()
    await this.settle()
    await this.#reference.dispose()
  }

  #then<T>(
    pending: Promise<T>,
    expected: (error: unknown) => boolean,
    check: (result: T) => Promise<void>,
  ): void {
    pending.catch(() => {})
    this.#checked = this.#checked.then(async () => {
      try {
        let result: T
        try {
          result = await pending
        } catch (error) {
          if (!expected(error)) throw error
          return
        }
        await check(result)
      } catch (error) {
        this.#fault ??= error
      }
    })
  }

  #compare(what: string, got: Float32Array, want: Float32Array): void {
    if (this.exact) return void expect([...got], what).toEqual([...want])
    const bound = BOUND * want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    got.forEach((value, index) => {
      expect(Math.abs(value - want[index]!), `${what}, logit ${index}`).toBeLessThanOrEqual(bound)
    })
  }
}

/** Whether an error is one of this package. */
export const isOwnError = (error: unknown): boolean => error instanceof TrecvitError

/** Memory of the reference, which is excluded from faults. */
const exempt = new WeakSet<WebAssembly.Memory>()

/** Loads the reference on the calling thread, where no worker can fail. */
export async function loadReference(file: string): Promise<TRecViT> {
  const { grow } = WebAssembly.Memory.prototype
  WebAssembly.Memory.prototype.grow = function (pages: number) {
    exempt.add(this)
    return grow.call(this, pages)
  }
  try {
    return await TRecViT.load(file, {
      device: 'wasm',
      deterministic: true,
      workerUrl: new URL('data:text/javascript,process.exit(3)'),
    })
  } finally {
    WebAssembly.Memory.prototype.grow = grow
  }
}

/** A model under test. */
export interface Home {
  readonly model: TRecViT
  readonly hasGpu: boolean
}

export class World {
  readonly homes: Home[]
  followers: Follower[] = []
  snapshots: Saved[] = []
  readonly workers: WatchedWorkers
  readonly gpu: FragileGpu | null
  /** Number of further refusals of memory by the system. */
  refusals = 0
  readonly #file: string
  readonly #reference: TRecViT
  readonly #grow: WebAssembly.Memory['grow']

  private constructor(file: string, reference: TRecViT, gpu: FragileGpu | null) {
    this.#file = file
    this.#reference = reference
    this.gpu = gpu
    this.homes = []
    this.workers = watchedWorkers()
    const { grow } = WebAssembly.Memory.prototype
    this.#grow = grow
    const refuses = (): boolean => this.refusals-- > 0
    WebAssembly.Memory.prototype.grow = function (pages: number) {
      if (!exempt.has(this) && refuses())
        throw new RangeError('WebAssembly.Memory.grow(): refused by the test')
      return grow.call(this, pages)
    }
  }

  /** @param reference an undisturbed model */
  static async open(file: string, reference: TRecViT, gpu: FragileGpu | null): Promise<World> {
    const world = new World(file, reference, gpu)
    await world.load(0)
    await world.load(1)
    return world
  }

  /** Loads model 0 (CPU) or model 1 (GPU, if there is one). */
  async load(index: number): Promise<void> {
    this.relent()
    const hasGpu = index === 1 && this.gpu !== null
    const common = { deterministic: true, threads: THREADS }
    const model = hasGpu
      ? await TRecViT.load(this.#file, { ...common, device: 'webgpu', gpu: this.gpu!.gpu })
      : await TRecViT.load(this.#file, {
          ...common,
          device: 'wasm',
          gpu: { requestAdapter: async () => null } as unknown as GPU,
        })
    this.homes[index] = { model, hasGpu }
  }

  open(index: number, b: number, average: Average): void {
    const home = this.homes[index]!
    const stream = home.model.stream({ b, average })
    this.followers.push(
      new Follower(stream, this.#reference.stream({ b, average }), home, b, average, !home.hasGpu),
    )
  }

  async resume(index: number, { bytes, reference, b, average, exact }: Saved): Promise<void> {
    const home = this.homes[index]!
    const stream = await home.model.resume(bytes).catch((error: unknown) => {
      // A thread or device may fail, or memory may run out, while the state is written.
      if (!isOwnError(error)) throw error
      return null
    })
    if (!stream) return
    const other = await this.#reference.resume(reference)
    this.followers.push(new Follower(stream, other, home, b, average, exact && !home.hasGpu))
  }

  /** Disposes of a model during its work and loads it again. */
  async replace(index: number): Promise<void> {
    const home = this.homes[index]!
    const ending = home.model.dispose()
    const own = this.followers.filter((follower) => follower.home === home)
    this.followers = this.followers.filter((follower) => follower.home !== home)
    await ending
    await Promise.all(own.map((follower) => follower.dispose()))
    await this.load(index)
  }

  /** Makes devices and memory available again. */
  relent(): void {
    this.refusals = 0
    this.gpu?.refuse(0)
  }

  /** Asserts that all live resources belong to open models. */
  check(): void {
    for (const { stream } of this.followers) expect(stream.pending).toBeLessThan(1000)
    // At most a lost device and its replacement. Each model has at most one thread pool, and one
    // that replaces it.
    if (this.gpu) expect(this.gpu.devices()).toBeLessThanOrEqual(2)
    expect(this.workers.alive()).toBeLessThanOrEqual(2 * THREADS * this.homes.length + 2)
  }

  /** Waits for all results and checks them. */
  async settle(): Promise<void> {
    await answered(Promise.all(this.followers.map((follower) => follower.settle())))
    this.check()
  }

  /** Disposes of everything, also after a fault, and asserts that nothing is left. */
  async close(): Promise<void> {
    this.relent()
    try {
      await this.settle()
    } finally {
      await answered(Promise.allSettled(this.followers.map((follower) => follower.dispose())))
      await answered(Promise.allSettled(this.homes.map(({ model }) => model.dispose())))
      WebAssembly.Memory.prototype.grow = this.#grow
      this.workers.restore()
    }
    await vi.waitFor(() => expect(this.workers.alive()).toBe(0), { timeout: 5000, interval: 5 })
    if (this.gpu) expect([this.gpu.buffers(), this.gpu.devices()]).toEqual([[], 0])
    expect(openFiles(this.#file)).toBe(0)
  }
}

/** @throws Error if the promise is still pending after TIMEOUT */
async function answered(promise: Promise<unknown>): Promise<void> {
  const inTime = new AbortController()
  const silence = sleep(TIMEOUT, null, { signal: inTime.signal }).then(
    () => Promise.reject(new Error(`a stream did not answer within ${TIMEOUT / 1000} s`)),
    () => {},
  )
  await Promise.race([promise, silence]).finally(() => inTime.abort())
}

/** Returns the open handles of this process for a file, if the system reports them. */
function openFiles(file: string): number {
  const { readlinkSync } = process.getBuiltinModule('node:fs')
  try {
    return readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file
      } catch {
        return false
      }
    }).length
  } catch {
    return 0
  }
}

/** The GPU of the soak, or null. */
export const openGpu = (has: boolean): FragileGpu | null => (has ? fragileGpu() : null)
