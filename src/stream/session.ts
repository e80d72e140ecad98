import type { Backend, Replay, StreamState, Watch } from '../backend/backend.ts'
import type { Config } from '../model/config.ts'
import { recordModel, type ProgramOptions } from '../model/graph.ts'
import { sizeOf, type Average, type Program } from '../program/program.ts'

/** What one chunk gives: the program's outputs, row-major, by name. */
export type Outputs = Record<string, Float32Array>

/** Programs of one model on one backend, each recorded and prepared once. */
export class Programs {
  readonly config: Config
  readonly backend: Backend
  readonly #replays = new Map<string, { program: Program; replay: Promise<Replay> }>()

  constructor(config: Config, backend: Backend) {
    this.config = config
    this.backend = backend
  }

  get(options: ProgramOptions): { program: Program; replay: Promise<Replay> } {
    const key = JSON.stringify(options)
    let found = this.#replays.get(key)
    if (!found) {
      const program = recordModel(this.config, options)
      found = { program, replay: this.backend.prepare(program) }
      this.#replays.set(key, found)
    }
    return found
  }

  async dispose(): Promise<void> {
    for (const { replay } of this.#replays.values()) (await replay).dispose()
    this.#replays.clear()
  }
}

/** What a session is opened with. */
export interface SessionOptions {
  /** Videos side by side. */
  readonly b: number
  readonly recent: Average
  readonly encoded: boolean
}

/**
 * b videos with their carried state. Chunks run in the order in which they were asked for, each from the state that the one before left;
 * a chunk that fails leaves the state as it was before it, as far as a backend can tell.
 */
export class Session {
  readonly options: SessionOptions
  /** Frames since the reset. */
  frame = 0
  readonly #programs: Programs
  #state: Promise<StreamState> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(programs: Programs, options: SessionOptions) {
    this.#programs = programs
    this.options = options
  }

  /** The states that a snapshot of this session holds. */
  get states(): Program['states'] {
    return this.#programs.get({ ...this.options, t: 1, pixels: 'u8' }).program.states
  }

  /** Runs the next t frames, pixels [b, t, H, W, 3]; `first` is the index of the first of them since the reset. */
  advance(pixels: Uint8Array | Float32Array, t: number, watch?: Watch): Promise<{ first: number; outputs: Outputs }> {
    return this.#inTurn(async (state) => {
      const { replay } = this.#programs.get({ ...this.options, t, pixels: pixels instanceof Uint8Array ? 'u8' : 'f32' })
      const outputs = await (await replay).run(state, this.frame, pixels, watch)
      this.frame += t
      return { first: this.frame - t, outputs }
    })
  }

  /** Forgets all frames. */
  reset(): Promise<void> {
    return this.#inTurn(async (state) => {
      await state.clear()
      this.frame = 0
    })
  }

  /** Copies of the states and the number of frames that led to them. */
  read(): Promise<{ frame: number; values: Float32Array[] }> {
    return this.#inTurn(async (state) => ({ frame: this.frame, values: await state.read() }))
  }

  /** Replaces the states. */
  write(frame: number, values: readonly Float32Array[]): Promise<void> {
    return this.#inTurn(async (state) => {
      await state.write(values)
      this.frame = frame
    })
  }

  /** Frees the state, after what is under way. */
  async dispose(): Promise<void> {
    const state = this.#state
    this.#state = undefined
    await this.#turn.catch(() => {})
    ;(await state)?.dispose()
  }

  #inTurn<T>(work: (state: StreamState) => Promise<T>): Promise<T> {
    this.#state ??= this.#programs.backend.createState(this.states)
    const state = this.#state
    const result = this.#turn.then(async () => work(await state))
    this.#turn = result.catch(() => {})
    return result
  }
}

/**
 * Frames of one chunk when many are at hand: enough that a weight, once read, serves some hundred rows, few enough that a chunk ends soon.
 */
export function chunkOf(n: number): number {
  return Math.min(16, Math.max(1, Math.floor(400 / n)))
}

/** Values of a [height, width, 3] frame. */
export function frameSize(config: Config): number {
  return sizeOf([...config.imageSize, 3])
}
