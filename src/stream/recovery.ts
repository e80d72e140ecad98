import type { StreamState } from '../backend/backend.ts'
import type { Engine, Kind } from '../backend/engine.ts'
import type { EngineSource } from '../backend/engines.ts'
import { messageOf, TrecvitError } from '../base/error.ts'
import type { Program } from '../program/program.ts'
import type { Chunk, History } from './history.ts'

/** An engine, and the state of a session in its memory. */
export interface Placement {
  readonly engine: Engine
  readonly state: StreamState
}

/**
 * Devices that a session may lose in a row, without a result in between. After one more, it moves
 * from the GPU to the CPU. On the CPU its waiting jobs are rejected.
 */
const MAX_LOSSES = 3

/**
 * The placement of a session. After a device loss it opens another engine and computes the state
 * again there.
 *
 *   no placement ── ensurePlacement: state from the history ──▶ placement
 *     ▲                                                            │
 *     └────────── freeState: device lost, job failed, closed ──────┘
 */
export class Recovery {
  readonly #engines: EngineSource
  readonly #history: History
  readonly #programOf: (chunk: Chunk) => Program
  readonly #createState: (engine: Engine) => Promise<StreamState>
  #placement: Placement | undefined
  /** The engine for the next placement. Undefined: the current engine of the model. */
  #next: Engine | undefined
  #losses = 0

  /**
   * Makes the recovery of a session that has no placement yet.
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

  /** The engine of the session, or the engine that it will use next. */
  get engine(): Engine {
    return this.#placement?.engine ?? this.#next ?? this.#engines.current
  }

  /**
   * Returns the placement, even if its engine is lost: the next job finds that out. Without a
   * placement, allocates a state on the next engine and computes it from the history.
   * @throws Error if the engine is lost meanwhile
   */
  async ensurePlacement(): Promise<Placement> {
    if (this.#placement) return this.#placement
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
    return (this.#placement = { engine, state })
  }

  /**
   * Allocates the state of the session on an engine of another kind.
   * @throws TrecvitError if there is no such device
   */
  async open(kind: Kind): Promise<Placement> {
    const engine = await this.#engines.get(kind)
    return { engine, state: await this.#createState(engine) }
  }

  /** Frees the state, and with it the placement. */
  freeState(): void {
    this.#placement?.state.dispose()
    this.#placement = undefined
  }

  /** Moves to another placement, whose state is that of the answered frames. */
  move(placement: Placement): void {
    this.freeState()
    this.#placement = placement
    this.#next = placement.engine
  }

  /**
   * Whether an error means that the device is lost. On a GPU every error except a TrecvitError
   * counts as a loss, because a job can fail before the device reports its loss.
   */
  isDeviceLoss(error: unknown): boolean {
    const { engine } = this
    return (
      engine.lossReason !== null || (engine.kind === 'webgpu' && !(error instanceof TrecvitError))
    )
  }

  /** Resets the count of losses in a row. Called after every result. */
  resetLosses(): void {
    this.#losses = 0
  }

  /**
   * Frees the state and replaces the lost engine: by a new one of its kind, or by the CPU.
   * @throws TrecvitError if no engine can be opened, or the CPU was lost too often
   */
  async replaceEngine(error: unknown): Promise<void> {
    const { engine } = this
    this.freeState()
    const reason = engine.lossReason ?? messageOf(error)
    const losses = ++this.#losses
    try {
      if (losses <= MAX_LOSSES) this.#next = await this.#engines.replace(engine, reason)
      else if (engine.kind === 'webgpu') this.#next = await this.#engines.get('wasm', reason)
      else
        throw new TrecvitError(
          `The CPU backend failed ${losses} times in a row (${reason}); ` +
            'the next frame starts it again',
        )
    } catch (error) {
      this.#losses = 0
      throw error
    }
  }
}

/** @throws Error if the engine is lost */
export function throwIfLost({ lossReason }: Engine): void {
  if (lossReason !== null) throw new Error(lossReason)
}
