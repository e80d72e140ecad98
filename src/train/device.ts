import type { Backend, Inputs, Replay, StreamState } from '../backend/backend.ts'
import { Lru } from '../base/lru.ts'
import { outputsOf, type Program, type Weight } from '../program/program.ts'
import { type Carried, carriedInputs, statesAfter, statesBefore } from './carried.ts'
import { recordValues } from './program.ts'

/** A program on the device, with the states of its clips. */
interface Prepared {
  readonly program: Program
  readonly replay: Replay
  readonly state: StreamState
}

/** What to run. */
export interface Run {
  /** Identifies the program. */
  readonly key: string
  /** Records the program, if it is not prepared. */
  readonly record: () => Program
  readonly inputs: Inputs
  /** Set for chunks of videos: their states before it, or null if they begin with it. */
  readonly chunk?: { readonly before: Carried | null }
}

/** Outputs of a program by name. */
export type Outputs = Readonly<Record<string, Float32Array>>

/** Result of a run. */
export interface RunResult {
  readonly outputs: Outputs
  /** The states after a chunk, or null. */
  readonly after: Carried | null
}

/** Largest number of prepared programs. Each holds memory for its activations. */
const MOST_PROGRAMS = 4

/**
 * The device of a trainer, with its weights and its prepared programs. It runs one call at a time:
 * the caller waits for each.
 */
export class TrainingDevice {
  readonly backend: Backend
  readonly #prepared = new Lru<string, Promise<Prepared>>(MOST_PROGRAMS, (prepared) => {
    prepared.then(free, () => {})
  })

  /** @param backend is owned by the device from now on */
  constructor(backend: Backend) {
    this.backend = backend
  }

  /**
   * Runs a program. Without a chunk, every clip begins from empty states.
   * @throws TrecvitError if its activations do not fit
   */
  async run(run: Run): Promise<RunResult> {
    const { replay, program, state, inputs, frame } = await this.#begin(run)
    const outputs = await replay.run(state, frame, inputs)
    return { outputs, after: run.chunk ? statesAfter(program, await state.read()) : null }
  }

  /**
   * Runs a program again, and returns the name of the first tensor with a value that is not finite:
   * an input, or the output of a step. Null if there is none.
   */
  async firstNotFinite(run: Run): Promise<string | null> {
    const { replay, program, state, inputs, frame } = await this.#begin(run)
    let found = Object.keys(program.inputs).find((name) => !areFinite(inputs[name]!)) ?? null
    await replay.run(state, frame, inputs, async (step, _, read) => {
      for (const output of outputsOf(step))
        if (found === null && !areFinite(await read(output))) found = output.buffer.name
    })
    return found
  }

  /** Returns the values of a weight, [blocks·rows, columns]. */
  async read(weight: Weight): Promise<Float32Array> {
    const prepared = await this.#prepare(recordValues(weight))
    try {
      return (await prepared.replay.run(prepared.state, 0, {}))['values']!
    } finally {
      free(prepared)
    }
  }

  /** Prepares a program and its states. */
  async #begin({ key, record, inputs, chunk }: Run) {
    const promise = this.#prepared.get(key, () => this.#prepare(record()))
    // A program that did not fit may fit later.
    promise.catch(() => this.#prepared.delete(key, promise))
    const prepared = await promise
    const { program, state } = prepared
    const before = chunk?.before
    if (!before) {
      await state.clear()
      return { ...prepared, inputs, frame: 0 }
    }
    await state.write(statesBefore(program, before))
    // Kernels only distinguish frame 0, which begins a video, from all others.
    return { ...prepared, inputs: { ...inputs, ...carriedInputs(program, before) }, frame: 1 }
  }

  async #prepare(program: Program): Promise<Prepared> {
    const replay = await this.backend.prepare(program)
    return { program, replay, state: await this.backend.createState(program.states) }
  }
}

function free({ state, replay }: Prepared): void {
  state.dispose()
  replay.dispose()
}

function areFinite(values: Uint8Array | Float32Array): boolean {
  return values.every((value) => Number.isFinite(value))
}
