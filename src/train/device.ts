import type { Backend, Inputs, Replay, StreamState } from '../backend/backend.ts'
import { Lru } from '../base/lru.ts'
import type { Program, Weight } from '../program/program.ts'
import { recordValues } from './program.ts'

/** A program on the device, with the states of its clips. */
interface Prepared {
  readonly replay: Replay
  readonly state: StreamState
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
   * Runs a program from empty states: every clip begins anew.
   * @param key identifies the program
   * @param record records it, if it is not prepared
   * @throws TrecvitError if its activations do not fit
   */
  async run(
    key: string,
    record: () => Program,
    inputs: Inputs,
  ): Promise<Record<string, Float32Array>> {
    const prepared = this.#prepared.get(key, () => this.#prepare(record()))
    // A program that did not fit may fit later.
    prepared.catch(() => this.#prepared.delete(key, prepared))
    const { replay, state } = await prepared
    await state.clear()
    return replay.run(state, 0, inputs)
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

  async #prepare(program: Program): Promise<Prepared> {
    const replay = await this.backend.prepare(program)
    return { replay, state: await this.backend.createState(program.states) }
  }
}

function free({ replay, state }: Prepared): void {
  state.dispose()
  replay.dispose()
}
