import { TrecvitError } from '../error.ts'
import { nameOf, openGpu } from '../platform/gpu.ts'
import type { Program, Weight } from '../program/program.ts'
import type { Backend, Device, MatrixDType, Replay } from './backend.ts'
import { BUILD_BOUNDS, GPU_BOUND, selfTest } from './selfTest.ts'
import { chooseBuild, type Build } from './wasm/builds.ts'
import { openMachine, type CpuOptions } from './wasm/open.ts'
import { WasmBackend } from './wasm/wasm.ts'

/** What computes. */
export type Kind = Device['backend']

/** One backend with the weights on it, and the programs that it has prepared. */
export class Engine {
  readonly backend: Backend
  /** Why nothing that comes from it from now on may be believed, or null. */
  lost: string | null = null
  /** What the backend runs on: kept, then destroyed. */
  readonly #gpu: { readonly device: GPUDevice; readonly kept: unknown } | undefined
  readonly #replays = new Map<Program, Promise<Replay>>()

  constructor(backend: Backend, gpu?: { readonly device: GPUDevice; readonly kept: unknown }) {
    this.backend = backend
    this.#gpu = gpu
    void gpu?.device.lost.then(({ message, reason }) => (this.lost ??= message || reason))
  }

  get kind(): Kind {
    return this.backend.device.backend
  }

  /** A program in this backend's form, made once. */
  replay(program: Program): Promise<Replay> {
    let found = this.#replays.get(program)
    if (!found) this.#replays.set(program, (found = this.backend.prepare(program)))
    return found
  }

  async dispose(): Promise<void> {
    for (const replay of this.#replays.values()) (await replay.catch(() => undefined))?.dispose()
    this.#replays.clear()
    this.backend.dispose()
    this.#gpu?.device.destroy()
  }
}

const tested = new Map<string, Promise<string | null>>()

/** What a build of the kernels computes wrongly with matrices of a number format, or null; found out once. */
export async function testBuild(build: Build, dtype: MatrixDType): Promise<string | null> {
  return await testOnce(build, 'f32') ?? (dtype === 'int8' ? testOnce(build, dtype) : null)
}

function testOnce(build: Build, dtype: MatrixDType): Promise<string | null> {
  const key = `${build} ${dtype}`
  let found = tested.get(key)
  if (!found) tested.set(key, (found = selfTest((weights) => WasmBackend.create(weights, undefined, build), BUILD_BOUNDS[build], dtype)))
  return found
}

/** Puts the weights of the model into a backend. */
export type Fill = (backend: Backend) => Promise<void>

/** What a session asks of the engines of its model. */
export type EngineSource = Pick<Engines, 'current' | 'get' | 'replace'>

/**
 * The engines of one model, at most one of a kind: the one that it was loaded for, and those that streams are moved to, by will or because
 * a device was lost. Weights are read again for each.
 */
export class Engines {
  readonly #weights: readonly Weight[]
  readonly #dtype: MatrixDType
  readonly #fill: Fill
  readonly #cpu: CpuOptions
  readonly #gpu: GPU | undefined
  /** Nobody asked for a GPU by name, so only a good one is used. */
  readonly #hardwareOnly: boolean
  readonly #engines = new Map<Kind, Promise<Engine>>()
  #current: Engine | undefined

  private constructor(weights: readonly Weight[], dtype: MatrixDType, fill: Fill, cpu: CpuOptions, gpu: GPU | undefined, hardwareOnly: boolean) {
    this.#weights = weights
    this.#dtype = dtype
    this.#fill = fill
    this.#cpu = cpu
    this.#gpu = gpu
    this.#hardwareOnly = hardwareOnly
  }

  /**
   * Opens the first engine: the GPU if it is asked for, or if it is hardware and passes the self-test; else the CPU.
   * @param dtype how the GPU keeps the matrices; the CPU keeps their float32 values
   * @throws TrecvitError if the GPU is asked for and there is none
   */
  static async open(wanted: 'auto' | Kind, weights: readonly Weight[], dtype: MatrixDType, fill: Fill, cpu: CpuOptions = {}, gpu?: GPU): Promise<Engines> {
    const engines = new Engines(weights, dtype, fill, cpu, gpu, wanted === 'auto')
    engines.#current = wanted === 'auto' ? await engines.#best() : await engines.get(wanted)
    return engines
  }

  /** What new streams run on. */
  get current(): Engine {
    return this.#current!
  }

  /**
   * The engine of a kind, opened if it is not there yet.
   * @throws TrecvitError if there is no such device
   */
  get(kind: Kind): Promise<Engine> {
    return this.#engines.get(kind) ?? this.#keep(kind, kind === 'wasm' ? this.#wasm(null) : this.#webgpu(false))
  }

  /** Takes a lost engine out of use and gives the one that follows it: a new device, or the CPU. Many may ask; it is done once. */
  async replace(engine: Engine, why: string): Promise<Engine> {
    engine.lost ??= why
    const now = await this.#engines.get(engine.kind)?.catch(() => undefined)
    if (now === engine) {
      this.#engines.delete(engine.kind)
      const again = () => this.#engines.get('webgpu') ?? this.#keep('webgpu', this.#webgpu(this.#hardwareOnly))
      // A driver that is just coming back may lose the first new device too.
      const next = again().catch(again).catch(() => this.#instead(`the GPU was lost (${why})`))
      void engine.dispose().catch(() => {})
      if (this.#current === engine) this.#current = await next
      return next
    }
    return now && !now.lost ? now : this.#instead(`the GPU was lost (${why})`)
  }

  async dispose(): Promise<void> {
    for (const engine of this.#engines.values()) await (await engine.catch(() => undefined))?.dispose()
    this.#engines.clear()
  }

  async #best(): Promise<Engine> {
    try {
      return await this.#keep('webgpu', this.#webgpu(true))
    } catch (error) {
      if (!(error instanceof TrecvitError)) throw error
      return this.#instead(error.message)
    }
  }

  /** What could not be opened is not kept, so that it can be tried again. */
  #keep(kind: Kind, opened: Promise<Engine>): Promise<Engine> {
    this.#engines.set(kind, opened)
    opened.catch(() => this.#engines.get(kind) === opened && this.#engines.delete(kind))
    return opened
  }

  #instead(reason: string): Promise<Engine> {
    return this.#engines.get('wasm') ?? this.#keep('wasm', this.#wasm(reason))
  }

  async #wasm(reason: string | null): Promise<Engine> {
    // A module that is given is of the one build that is for handing out.
    const { build, reason: otherBuild } = this.#cpu.wasmModule ? { build: 'simd', reason: null } as const : await chooseBuild(this.#cpu, (build) => testBuild(build, this.#dtype))
    const { machine, reason: oneThread } = await openMachine(build, this.#cpu)
    const reasons = [reason, otherBuild, oneThread].filter((one) => one !== null)
    const backend = await WasmBackend.create(this.#weights, machine, build, reasons.join('; ') || null)
    try {
      await this.#fill(backend)
    } catch (error) {
      backend.dispose()
      throw error
    }
    return new Engine(backend)
  }

  async #webgpu(hardwareOnly: boolean): Promise<Engine> {
    if (this.#dtype === 'int8') throw new TrecvitError("The GPU has no kernels for dtype 'int8'; it takes 'f32' and 'f16'")
    const opened = await openGpu(this.#gpu)
    if ('reason' in opened) throw new TrecvitError(`There is no WebGPU device: ${opened.reason}`)
    const { device, isSoftware, toggles } = opened
    try {
      if (hardwareOnly && isSoftware) throw new TrecvitError('it is drawn by the CPU, which the WebAssembly kernels use better')
      const { WebGpuBackend } = await import('./webgpu/webgpu.ts')
      const wrong = await selfTest((weights) => WebGpuBackend.create(device, weights, this.#dtype), GPU_BOUND)
      if (wrong) throw new TrecvitError(`it failed the self-test: ${wrong}`)
      const backend = await WebGpuBackend.create(device, this.#weights, this.#dtype, toggles)
      await this.#fill(backend)
      return new Engine(backend, opened)
    } catch (error) {
      device.destroy()
      throw new TrecvitError(`The WebGPU device "${nameOf(device.adapterInfo)}" is not used: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
}
