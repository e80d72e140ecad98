import type { StreamState } from '../backend/backend.ts'
import type { Engine, Kind } from '../backend/engine.ts'
import type { EngineSource } from '../backend/engines.ts'
import { messageOf, TrecvitError } from '../base/error.ts'
import type { Program } from '../program/program.ts'
import type { Chunk, History } from './history.ts'

/** The engine that a session runs on, with the state of the session on it. */
export interface Place {
  readonly engine: Engine
  readonly state: StreamState
}

/**
 * Consecutive losses without a result after which a stream moves from the GPU to the CPU, or fails
 * on the CPU.
 */
const MAX_LOSSES = 3

/**
 * The place of a session, and its next place after the device was lost.
 *
 *   no place ── settle: state from the history ──▶ place ── leave ──▶ no place
 */
export class Recovery {
  readonly #engines: EngineSource
  readonly #history: History
  readonly #programOf: (chunk: Chunk) => Program
  readonly #createState: (engine: Engine) => Promise<StreamState>
  #place: Place | undefined
  /** The engine of the next place, if it was chosen. */
  #next: Engine | undefined
  #losses = 0

  /**
   * Makes a session without a place.
   * @param programOf returns the program that runs a chunk
   * @param createState allocates the state of the session on an engine, all zero
   */
  constructor(
    engines: EngineSource,
    history: History,
    programOf: (chunk: Chunk) => Program,
    createState: (engine: Engine) => Promise<StreamState>,
  ) {
    this.#engines = engines
    this.#history = history
    this.#programOf = programOf
    this.#createState = createState
  }

  /** The engine that the session runs on, or will. */
  get engine(): Engine {
    return this.#place?.engine ?? this.#next ?? this.#engines.current
  }

  /**
   * Returns the place, even if its engine is lost: the next job there finds that out. Without a
   * place, computes the state of the answered frames on the next engine.
   */
  async settle(): Promise<Place> {
    if (this.#place) return this.#place
    const engine = (this.#next ??= this.#engines.current)
    throwIfLost(engine)
    const state = await this.#createState(engine)
    try {
      await this.#history.restore(state, async (chunk, frame) => {
        const run = await engine.prepare(this.#programOf(chunk))
        await run(state, frame, { pixels: chunk.pixels })
      })
      throwIfLost(engine)
    } catch (error) {
      state.dispose()
      throw error
    }
    return (this.#place = { engine, state })
  }

  /**
   * Allocates the state of the session on an engine of another kind.
   * @throws TrecvitError if there is no such device
   */
  async open(kind: Kind): Promise<Place> {
    const engine = await this.#engines.get(kind)
    return { engine, state: await this.#createState(engine) }
  }

  /** Frees the state. */
  leave(): void {
    this.#place?.state.dispose()
    this.#place = undefined
  }

  /** Moves to another place, whose state is that of the answered frames. */
  move(place: Place): void {
    this.leave()
    this.#place = place
    this.#next = place.engine
  }

  /**
   * Whether an error means that the device is lost. On a GPU an error that is no TrecvitError
   * counts as a loss, too: a result can fail before the device reports its loss.
   */
  isLoss(error: unknown): boolean {
    const { engine } = this
    return engine.lost !== null || (engine.kind === 'webgpu' && !(error instanceof TrecvitError))
  }

  /** Called with every result. Resets the count of losses. */
  succeeded(): void {
    this.#losses = 0
  }

  /**
   * Leaves a lost device and replaces its engine.
   * @throws TrecvitError if no engine can be opened, or the CPU was lost too often
   */
  async replace(error: unknown): Promise<void> {
    const { engine } = this
    this.leave()
    const why = engine.lost ?? messageOf(error)
    const losses = ++this.#losses
    try {
      if (losses <= MAX_LOSSES) this.#next = await this.#engines.replace(engine, why)
      else if (engine.kind === 'webgpu') this.#next = await this.#engines.get('wasm', why)
      else
        throw new TrecvitError(
          `The CPU backend failed ${losses} times in a row (${why}); ` +
            'the next frame starts it again',
        )
    } catch (error) {
      this.#losses = 0
      throw error
    }
  }
}

/** @throws Error if the engine is lost */
export function throwIfLost({ lost }: Engine): void {
  if (lost !== null) throw new Error(lost)
}
