import type { Backend, Inputs, Replay, StreamState } from '../backend/backend.ts'
import { Lru } from '../base/lru.ts'
import { outputsOf, type Program, type Weight } from '../program/program.ts'
import { type Carried, carriedInputs, statesAfter, statesBefore } from './carried.ts'
import { checkMemory, type Shrinkable } from './memory.ts'
import { recordValues } from './program.ts'

/** A program on the device, with the states of its clips. */
interface Prepared {
  readonly program: Program
  readonly replay: Replay
  readonly state: StreamState
}

/** A prepared program that is kept. */
interface Admitted extends Prepared {
  readonly bytes: number
}

/** What to run. */
export interface Run {
  /** Identifies the program. */
  readonly key: string
  /** Records the program, if it is not prepared. */
  readonly record: () => Program
  readonly inputs: Inputs
  /**
   * States of the videos before the frames, or that they are those after the last run of this
   * program. By default every video begins anew.
   */
  readonly before?: Carried | 'kept'
  /** Whether the result has the states after the frames. */
  readonly wantsStates?: boolean
  /** Programs that take less memory, for the error if there is too little. */
  readonly shrinkable?: Shrinkable
}

/** Outputs of a program by name. */
export type Outputs = Readonly<Record<string, Float32Array>>

/** Result of a run. */
export interface RunResult {
  readonly outputs: Outputs
  /** The states after the frames, if they are wanted. */
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
  readonly #maxBytes: number
  /** Bytes of programs besides the weights. */
  readonly #room: number
  /** Bytes of the prepared programs. */
  #held = 0
  readonly #prepared = new Lru<string, Promise<Admitted>>(MOST_PROGRAMS, (prepared) => {
    prepared.then(
      (one) => {
        this.#held -= one.bytes
        free(one)
      },
      () => {},
    )
  })

  /**
   * @param backend is owned by the device from now on
   * @param maxBytes that weights and programs may take together
   * @param weightBytes of the weights
   */
  constructor(backend: Backend, maxBytes: number = Infinity, weightBytes: number = 0) {
    this.backend = backend
    this.#maxBytes = maxBytes
    this.#room = maxBytes - weightBytes
  }

  /**
   * Runs a program.
   * @throws TrecvitError if its activations do not fit, with what would
   */
  async run(run: Run): Promise<RunResult> {
    const { replay, program, state, inputs, frame } = await this.#begin(run)
    const outputs = await replay.run(state, frame, inputs)
    return { outputs, after: run.wantsStates ? statesAfter(program, await state.read()) : null }
  }

  /** Runs programs again, and names the first tensor with a value that is not finite. */
  async whyNotFinite(runs: readonly Run[]): Promise<string> {
    for (const run of runs) {
      const name = await this.#firstNotFinite(run)
      if (name) return `the first tensor that is not finite is "${name}"`
    }
    return 'all tensors are finite, but the sum of the losses is not'
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

  /** Returns the name of an input or of the output of a step, or null. */
  async #firstNotFinite(run: Run): Promise<string | null> {
    const { replay, program, state, inputs, frame } = await this.#begin(run)
    let found = Object.keys(program.inputs).find((name) => !areFinite(inputs[name]!)) ?? null
    await replay.run(state, frame, inputs, async (step, _, read) => {
      for (const output of outputsOf(step))
        if (found === null && !areFinite(await read(output))) found = output.buffer.name
    })
    return found
  }

  /** Prepares a program and its states. */
  async #begin({ key, record, inputs, before, shrinkable }: Run) {
    const promise = this.#prepared.get(key, () => this.#admit(record(), shrinkable))
    // A program that did not fit may fit later.
    promise.catch(() => this.#prepared.delete(key, promise))
    const prepared = await promise
    const { program, state } = prepared
    // Kernels only distinguish frame 0, which begins a video, from all others.
    if (before === 'kept') return { ...prepared, inputs, frame: 1 }
    if (!before) {
      await state.clear()
      return { ...prepared, inputs, frame: 0 }
    }
    await state.write(statesBefore(program, before))
    return { ...prepared, inputs: { ...inputs, ...carriedInputs(program, before) }, frame: 1 }
  }

  /** Prepares a program, in place of all others if it does not fit beside them. */
  async #admit(program: Program, shrinkable: Shrinkable | undefined): Promise<Admitted> {
    const { device } = this.backend
    const bytes = checkMemory(program, device, this.#room, this.#maxBytes, shrinkable)
    if (this.#held + bytes > this.#room) this.#prepared.clear()
    // What was dropped is freed in turns of its own.
    await Promise.resolve()
    const prepared = await this.#prepare(program)
    this.#held += bytes
    return { ...prepared, bytes }
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
