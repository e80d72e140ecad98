/**
 * The engines of one model, at most one of a kind: the one that it was loaded for, and those that
 * streams are moved to, by will or because a device was lost. The weights are read again for each.
 *
 *   open ── dispose ──▶ closed: whatever is still being opened is freed as soon as it is there
 *
 * A lost engine has one replacement, however many streams ask for it, and in whatever order.
 */
import { TrecvitError } from '../base/error.ts'
import { nameOf, openGpu } from '../platform/gpu.ts'
import type { Weight } from '../program/program.ts'
import type { Backend, MatrixDType } from './backend.ts'
import { Engine, type Kind } from './engine.ts'
import { GPU_BOUND, type SmallModel, selfTest, testBuild } from './selfTest.ts'
import { chooseBuild } from './wasm/builds.ts'
import { type CpuOptions, openMachine } from './wasm/open.ts'
import { WasmBackend } from './wasm/wasm.ts'

/**
 * Puts the weights of the model into a backend; rejects with the signal's reason if it is aborted.
 */
export type Fill = (backend: Backend, signal: AbortSignal) => Promise<void>

/** What a session asks of the engines of its model. */
export type EngineSource = Pick<Engines, 'current' | 'get' | 'replace' | 'closed'>

/** How the engines of a model are opened. */
export interface EnginesOptions {
  readonly weights: readonly Weight[]
  /** How the GPU keeps the matrices; the CPU keeps their float32 values. */
  readonly dtype: MatrixDType
  readonly fill: Fill
  /** What the self-test runs on a backend before it is used. */
  readonly smallModel: SmallModel
  readonly cpu?: CpuOptions
  readonly gpu?: GPU | undefined
}

/** Whether the model can answer. */
export interface Health {
  /** Devices and worker threads lost since the model was loaded. */
  readonly losses: number
  /** Why there is nothing to compute on, or null. The next frame tries again. */
  readonly failure: string | null
}

/** What is asked of a model after its end rejects with this. */
export const disposedError = (): TrecvitError =>
  new TrecvitError('The model was disposed of; load it again')

export class Engines {
  readonly #options: EnginesOptions
  /** True for device 'auto': accept hardware adapters only. */
  readonly #hardwareOnly: boolean
  readonly #opened = new Map<Kind, Promise<Engine>>()
  readonly #replacements = new WeakMap<Engine, Promise<Engine>>()
  /** Lost engines that are being freed. */
  readonly #leaving = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  #current: Engine | undefined
  /** Why the CPU computes and not the GPU, or null. */
  #fallback: string | null = null
  #losses = 0
  #failure: string | null = null

  private constructor(options: EnginesOptions, hardwareOnly: boolean) {
    this.#options = options
    this.#hardwareOnly = hardwareOnly
  }

  /**
   * Opens the first engine: the GPU if it is asked for, or if it is hardware and passes the
   * self-test; else the CPU.
   * @throws TrecvitError if the GPU is asked for and there is none
   */
  static async open(wanted: 'auto' | Kind, options: EnginesOptions): Promise<Engines> {
    const engines = new Engines(options, wanted === 'auto')
    engines.#current = wanted === 'auto' ? await engines.#best() : await engines.get(wanted)
    return engines
  }

  /** What new streams run on. */
  get current(): Engine {
    return this.#current!
  }

  /** Whether the model was disposed of. */
  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  get health(): Health {
    const failure = this.closed
      ? 'the model was disposed of'
      : (this.#failure ?? this.#current?.lost ?? null)
    return { losses: this.#losses, failure }
  }

  /**
   * The engine of a kind, opened if it is not there yet.
   * @throws TrecvitError if there is no such device, or the model was disposed of
   */
  async get(kind: Kind): Promise<Engine> {
    this.#closing.signal.throwIfAborted()
    const engine = await this.#take(kind, false)
    return engine.lost === null ? engine : this.replace(engine, engine.lost)
  }

  /**
   * Takes a lost engine out of use and gives the one that follows it: a new one of its kind, or
   * the CPU if the GPU does not come back.
   * @throws TrecvitError if nothing can be opened, or the model was disposed of
   */
  async replace(engine: Engine, why: string): Promise<Engine> {
    this.#closing.signal.throwIfAborted()
    engine.lose(why)
    let next = this.#replacements.get(engine)
    if (!next) {
      this.#losses++
      next = this.#follow(engine, why)
      this.#replacements.set(engine, next)
      // What could not be opened is tried again by whoever asks next.
      next.catch(() => this.#replacements.delete(engine))
    }
    const found = await next
    return found.lost === null ? found : this.replace(found, found.lost)
  }

  /** Frees everything, also what is just being opened. Unfinished work rejects. */
  async dispose(): Promise<void> {
    this.#closing.abort(disposedError())
    await Promise.all(
      [...this.#opened.values()].map(async (opened) => {
        const engine = await opened.catch(() => undefined)
        await engine?.dispose()
      }),
    )
    await Promise.all(this.#leaving)
    this.#opened.clear()
  }

  async #follow(engine: Engine, why: string): Promise<Engine> {
    const { kind } = engine
    const opened = this.#opened.get(kind)
    if (
      opened &&
      (await opened.catch(() => undefined)) === engine &&
      this.#opened.get(kind) === opened
    )
      this.#opened.delete(kind)
    const leaving = engine
      .dispose()
      .catch(() => {})
      .finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
    try {
      const next = kind === 'wasm' ? await this.get('wasm') : await this.#nextGpu(why)
      if (this.#current === engine) this.#current = next
      this.#failure = null
      return next
    } catch (error) {
      if (this.#current === engine && !this.closed)
        this.#failure = `${why}; ${error instanceof Error ? error.message : String(error)}`
      throw error
    }
  }

  /** A driver that is just coming back may lose the first new device, too. */
  async #nextGpu(why: string): Promise<Engine> {
    for (let tries = 0; tries < 2; tries++) {
      try {
        return await this.#take('webgpu', this.#hardwareOnly)
      } catch {
        this.#closing.signal.throwIfAborted()
      }
    }
    return this.#instead(`the GPU was lost (${why})`)
  }

  async #best(): Promise<Engine> {
    try {
      return await this.#take('webgpu', true)
    } catch (error) {
      if (!(error instanceof TrecvitError)) throw error
      return this.#instead(error.message)
    }
  }

  #instead(reason: string): Promise<Engine> {
    this.#fallback = reason
    return this.get('wasm')
  }

  /** What cannot be opened is not kept, so that it can be tried again. */
  #take(kind: Kind, hardwareOnly: boolean): Promise<Engine> {
    const found = this.#opened.get(kind)
    if (found) return found
    const opening = this.#open(kind, hardwareOnly)
    this.#opened.set(kind, opening)
    opening.catch(() => this.#opened.get(kind) === opening && this.#opened.delete(kind))
    return opening
  }

  async #open(kind: Kind, hardwareOnly: boolean): Promise<Engine> {
    const engine = kind === 'wasm' ? await this.#wasm() : await this.#webgpu(hardwareOnly)
    if (!this.closed) return engine
    await engine.dispose()
    throw this.#closing.signal.reason
  }

  async #wasm(): Promise<Engine> {
    const { weights, dtype, fill, smallModel, cpu = {} } = this.#options
    // A compiled module that is given is always the deterministic build.
    const { build, reason: otherBuild } = cpu.wasmModule
      ? ({ build: 'simd', reason: null } as const)
      : await chooseBuild(cpu, (build) => testBuild(smallModel, build, dtype))
    const { machine, reason: oneThread } = await openMachine(build, cpu)
    const reasons = [this.#fallback, otherBuild, oneThread].filter((one) => one !== null)
    const backend = await WasmBackend.create(weights, machine, build, reasons.join('; ') || null)
    try {
      await fill(backend, this.#closing.signal)
    } catch (error) {
      backend.dispose()
      throw error
    }
    return new Engine(backend)
  }

  async #webgpu(hardwareOnly: boolean): Promise<Engine> {
    const { weights, dtype, fill, smallModel, gpu } = this.#options
    if (dtype === 'int8')
      throw new TrecvitError("The GPU has no kernels for dtype 'int8'; it takes 'f32' and 'f16'")
    const opened = await openGpu(gpu)
    if ('reason' in opened) throw new TrecvitError(`There is no WebGPU device: ${opened.reason}`)
    const { device, isSoftware, toggles } = opened
    let backend: Backend | undefined
    try {
      if (hardwareOnly && isSoftware)
        throw new TrecvitError('it is a software renderer; the WebAssembly backend is faster')
      const { WebGpuBackend } = await import('./webgpu/webgpu.ts')
      const wrong = await selfTest(
        smallModel,
        (weights) => WebGpuBackend.create(device, weights, dtype),
        GPU_BOUND,
      )
      if (wrong) throw new TrecvitError(`it failed the self-test: ${wrong}`)
      backend = await WebGpuBackend.create(device, weights, dtype, toggles)
      await fill(backend, this.#closing.signal)
      return new Engine(backend, opened)
    } catch (error) {
      backend?.dispose()
      device.destroy()
      const why = error instanceof Error ? error.message : String(error)
      throw new TrecvitError(
        `The WebGPU device "${nameOf(device.adapterInfo)}" is not used: ${why}`,
        { cause: error },
      )
    }
  }
}
