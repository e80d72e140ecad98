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

/** Losses in a row after which a session leaves the GPU for the CPU, or ends on the CPU. */
const PATIENCE = 3

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
   * @param programOf the program that runs a chunk
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
   * Returns the place, also if it was lost: whoever computes there finds that out. Without a place,
   * computes the state of the answered frames on the next engine.
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

  /** Goes on at another place, whose state is that of the answered frames. */
  move(place: Place): void {
    this.leave()
    this.#place = place
    this.#next = place.engine
  }

  /**
   * Whether an error means the loss of the device. On a GPU so does every error that is not ours: a
   * result can fail before the device says that it is lost.
   */
  isLoss(error: unknown): boolean {
    const { engine } = this
    return engine.lost !== null || (engine.kind === 'webgpu' && !(error instanceof TrecvitError))
  }

  /** Called with every result: the losses before it count no more. */
  succeeded(): void {
    this.#losses = 0
  }

  /**
   * Leaves a lost device and finds the engine that follows it.
   * @throws TrecvitError if there is none, or the CPU was lost too often
   */
  async replace(error: unknown): Promise<void> {
    const { engine } = this
    this.leave()
    const why = engine.lost ?? messageOf(error)
    const losses = ++this.#losses
    try {
      if (losses <= PATIENCE) this.#next = await this.#engines.replace(engine, why)
      else if (engine.kind === 'webgpu') this.#next = await this.#engines.get('wasm')
      else
        throw new TrecvitError(
          `The CPU backend failed ${losses} times in a row (${why}); ` +
            'the next frame starts it again',
        )
    } catch (hopeless) {
      this.#losses = 0
      throw hopeless
    }
  }
}

/** @throws Error if nothing that comes from the engine may be used */
export function throwIfLost({ lost }: Engine): void {
  if (lost !== null) throw new Error(lost)
}
