/**
 * The engines of one model, at most one of a kind: the one that the model was loaded for, and those
 * that streams move to (`moveTo`, or after a loss). The weights are read again for each engine.
 *
 *   open ── dispose ──▶ closed: an engine that is still being opened is freed once it is open
 *
 * A lost engine is replaced once, even if several streams ask for it.
 */
import { messageOf, TrecvitError } from '../base/error.ts'
import type { Engine, Kind } from './engine.ts'
import { Listeners } from './listeners.ts'
import { type EngineOptions, openCpuEngine, openGpuEngine } from './openEngine.ts'

/** The part of Engines that a session uses. */
export type EngineSource = Pick<Engines, 'current' | 'get' | 'replace' | 'closed' | 'warn'>

/** Whether the model can compute. */
export interface Health {
  /** Devices and worker threads lost since the model was loaded. */
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
    engines.#current = wanted === 'auto' ? await engines.#best() : await engines.get(wanted)
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
      : (this.#failure ?? this.#current?.lost ?? null)
    return { losses: this.#losses, failure }
  }

  /**
   * Returns the engine of a kind. Opens it if necessary.
   * @param lost why the stream that asks lost its device; omitted if it did not
   * @throws TrecvitError if there is no such device, or the model was disposed of
   */
  async get(kind: Kind, lost?: string): Promise<Engine> {
    this.#closing.signal.throwIfAborted()
    const engine = await this.#take(kind, false)
    if (engine.lost !== null) return this.replace(engine, engine.lost)
    if (lost !== undefined) this.#moved(engine, lost)
    return engine
  }

  /**
   * Closes a lost engine and returns its replacement: a new engine of its kind, or the CPU if the
   * GPU cannot be opened again.
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
      // A failed replacement is not kept, so the next caller tries again.
      next.catch(() => this.#replacements.delete(engine))
    }
    const found = await next
    return found.lost === null ? found : this.replace(found, found.lost)
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

  async #follow(engine: Engine, why: string): Promise<Engine> {
    const { kind } = engine
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
      const next = kind === 'wasm' ? await this.get('wasm') : await this.#nextGpu(why)
      if (this.#current === engine) this.#current = next
      this.#failure = null
      this.#moved(next, why)
      return next
    } catch (error) {
      if (!this.closed) {
        const reason = `${why}; ${messageOf(error)}`
        if (this.#current === engine) this.#failure = reason
        this.warn(`No device can be opened (${reason}); the next frame tries again`)
      }
      throw error
    }
  }

  #moved({ backend: { device } }: Engine, reason: string): void {
    this.listeners.emit('device', { device, reason })
  }

  /**
   * Opens the GPU again, twice if necessary: a driver that restarts may lose the first new device.
   */
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

  /** Opens an engine. A failure is not kept, so the next caller tries again. */
  #take(kind: Kind, hardwareOnly: boolean): Promise<Engine> {
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
