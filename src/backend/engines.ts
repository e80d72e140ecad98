/**
 * The engines of one model, at most one of a kind: the one that the model was loaded for, and those
 * that streams move to (`moveTo`, or after a loss). The weights are read again for each engine.
 *
 *   open ── dispose ──▶ closed: an engine that is still being opened is freed once it is open
 *
 * Every session that finds its engine lost calls `replace`. Only the first call opens a new engine;
 * the others get the same one.
 */
import { messageOf, TrecvitError } from '../base/error.ts'
import type { Engine, Kind } from './engine.ts'
import { Listeners } from './listeners.ts'
import { type EngineOptions, openCpuEngine, openGpuEngine } from './openEngine.ts'

/** The part of Engines that a session uses. */
export type EngineSource = Pick<Engines, 'current' | 'get' | 'replace' | 'closed' | 'warn'>

/** Whether the model can compute. */
export interface Health {
  /** How many GPU devices and CPU thread pools were lost since the model was loaded. */
  readonly losses: number
  /** Why no device can be opened, or null. The next frame tries again. */
  readonly failure: string | null
}

/** Every call after the model was disposed of rejects with this. */
export const disposedError = (): TrecvitError =>
  new TrecvitError('The model was disposed of; load it again')

export class Engines {
  readonly listeners: Listeners = new Listeners()
  readonly #options: EngineOptions
  /** True for device 'auto': accept hardware adapters only. */
  readonly #hardwareOnly: boolean
  readonly #opened = new Map<Kind, Promise<Engine>>()
  readonly #replacements = new WeakMap<Engine, Promise<Engine>>()
  /** Lost engines that are being freed. */
  readonly #disposals = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  #current: Engine | undefined
  /** Why the CPU is used instead of the GPU, or null. */
  #fallback: string | null = null
  #losses = 0
  #failure: string | null = null

  private constructor(options: EngineOptions, hardwareOnly: boolean) {
    this.#options = options
    this.#hardwareOnly = hardwareOnly
  }

  /**
   * Opens the first engine: the GPU if it is asked for, or if it is hardware and passes the
   * self-test; else the CPU.
   * @throws TrecvitError if the GPU is asked for and there is none
   */
  static async open(wanted: 'auto' | Kind, options: EngineOptions): Promise<Engines> {
    const engines = new Engines(options, wanted === 'auto')
    engines.#current = wanted === 'auto' ? await engines.#openBest() : await engines.get(wanted)
    return engines
  }

  /** The engine that new streams use. */
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
      : (this.#failure ?? this.#current?.lossReason ?? null)
    return { losses: this.#losses, failure }
  }

  /**
   * Returns the engine of a kind. Opens it if necessary.
   * @param lossReason why the stream that asks lost its device; undefined if it did not
   * @throws TrecvitError if there is no such device, or the model was disposed of
   */
  async get(kind: Kind, lossReason?: string): Promise<Engine> {
    this.#closing.signal.throwIfAborted()
    const engine = await this.#getOrOpen(kind, false)
    if (engine.lossReason !== null) return this.replace(engine, engine.lossReason)
    if (lossReason !== undefined) this.#emitDevice(engine, lossReason)
    return engine
  }

  /**
   * Closes a lost engine and returns its replacement: a new engine of its kind, or the CPU if the
   * GPU cannot be opened again.
   * @throws TrecvitError if nothing can be opened, or the model was disposed of
   */
  async replace(engine: Engine, reason: string): Promise<Engine> {
    this.#closing.signal.throwIfAborted()
    engine.markLost(reason)
    let next = this.#replacements.get(engine)
    if (!next) {
      this.#losses++
      next = this.#openReplacement(engine, reason)
      this.#replacements.set(engine, next)
      // A failed replacement is not kept, so the next caller tries again.
      next.catch(() => this.#replacements.delete(engine))
    }
    const found = await next
    return found.lossReason === null ? found : this.replace(found, found.lossReason)
  }

  /** Reports a warning to the listeners of the model. */
  readonly warn = (warning: string): void => this.listeners.emit('warning', warning)

  /** Frees all engines, also those that are still being opened. Unfinished work rejects. */
  async dispose(): Promise<void> {
    this.#closing.abort(disposedError())
    await Promise.all(
      [...this.#opened.values()].map(async (opened) => {
        const engine = await opened.catch(() => undefined)
        await engine?.dispose()
      }),
    )
    await Promise.all(this.#disposals)
    this.#opened.clear()
  }

  async #openReplacement(engine: Engine, lossReason: string): Promise<Engine> {
    const { kind } = engine
    // After a failed replacement, a move may have opened another engine of the kind. It stays.
    const opened = this.#opened.get(kind)
    if (
      opened &&
      (await opened.catch(() => undefined)) === engine &&
      this.#opened.get(kind) === opened
    )
      this.#opened.delete(kind)
    const disposal = engine
      .dispose()
      .catch(() => {})
      .finally(() => this.#disposals.delete(disposal))
    this.#disposals.add(disposal)
    try {
      const next = kind === 'wasm' ? await this.get('wasm') : await this.#reopenGpu(lossReason)
      if (this.#current === engine) this.#current = next
      this.#failure = null
      this.#emitDevice(next, lossReason)
      return next
    } catch (error) {
      if (!this.closed) {
        const failure = `${lossReason}; ${messageOf(error)}`
        if (this.#current === engine) this.#failure = failure
        this.warn(`No device can be opened (${failure}); the next frame tries again`)
      }
      throw error
    }
  }

  #emitDevice({ backend: { device } }: Engine, reason: string): void {
    this.listeners.emit('device', { device, reason })
  }

  /**
   * Opens the GPU again, else the CPU. Tries twice: a driver that restarts may lose the first new
   * device.
   */
  async #reopenGpu(lossReason: string): Promise<Engine> {
    for (let tries = 0; tries < 2; tries++) {
      try {
        return await this.#getOrOpen('webgpu', this.#hardwareOnly)
      } catch {
        this.#closing.signal.throwIfAborted()
      }
    }
    return this.#fallBackToCpu(`the GPU was lost (${lossReason})`)
  }

  async #openBest(): Promise<Engine> {
    try {
      return await this.#getOrOpen('webgpu', true)
    } catch (error) {
      if (!(error instanceof TrecvitError)) throw error
      return this.#fallBackToCpu(error.message)
    }
  }

  #fallBackToCpu(reason: string): Promise<Engine> {
    this.#fallback = reason
    return this.get('wasm')
  }

  /** Returns the engine of a kind, or opens it. After a failure the next caller tries again. */
  #getOrOpen(kind: Kind, hardwareOnly: boolean): Promise<Engine> {
    const found = this.#opened.get(kind)
    if (found) return found
    const opening = this.#open(kind, hardwareOnly)
    this.#opened.set(kind, opening)
    opening.catch(() => this.#opened.get(kind) === opening && this.#opened.delete(kind))
    return opening
  }

  async #open(kind: Kind, hardwareOnly: boolean): Promise<Engine> {
    const { signal } = this.#closing
    const engine = await (kind === 'wasm'
      ? openCpuEngine(this.#options, this.#fallback, signal)
      : openGpuEngine(this.#options, hardwareOnly, signal))
    if (!this.closed) return engine
    await engine.dispose()
    throw signal.reason
  }
}
