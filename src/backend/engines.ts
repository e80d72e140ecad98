/**
 * The engines of one model, at most one of a kind: the one that it was loaded for, and those that
 * streams are moved to, by will or because a device was lost. The weights are read again for each.
 *
 *   open ── dispose ──▶ closed: whatever is still being opened is freed as soon as it is there
 *
 * A lost engine has one replacement, however many streams ask for it, and in whatever order.
 */
import { messageOf, TrecvitError } from '../base/error.ts'
import type { Engine, Kind } from './engine.ts'
import { type EngineOptions, openCpuEngine, openGpuEngine } from './openEngine.ts'

/** What a session asks of the engines of its model. */
export type EngineSource = Pick<Engines, 'current' | 'get' | 'replace' | 'closed'>

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
  readonly #options: EngineOptions
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
      if (this.#current === engine && !this.closed) this.#failure = `${why}; ${messageOf(error)}`
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
    const { signal } = this.#closing
    const engine = await (kind === 'wasm'
      ? openCpuEngine(this.#options, this.#fallback, signal)
      : openGpuEngine(this.#options, hardwareOnly, signal))
    if (!this.closed) return engine
    await engine.dispose()
    throw signal.reason
  }
}
