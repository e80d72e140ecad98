/** Runs of one step of a model, alone or in turn with another. */
import type { Backend } from '../../backend/backend.ts'
import type { Build } from '../../backend/wasm/builds.ts'
import { WasmBackend } from '../../backend/wasm/wasm.ts'
import { inputsOf, type Step, statesOf, type Tensor, weightsOf } from '../../program/program.ts'
import { type Monitor, shouldContinue } from './bench.ts'
import { median, time, warm } from './stats.ts'
import { noise } from './weights.ts'

/**
 * A run of one step again and again takes about this long, so that the copy of its input does not
 * count.
 */
const RUN_MILLISECONDS = 20

/**
 * Median milliseconds of one step each, sampled in turn, so that other work on the machine meets
 * both.
 */
export async function inTurn(
  one: Runner,
  other: Runner,
  seconds: number,
  monitor: Monitor,
): Promise<[number, number]> {
  const samples: [number[], number[]] = [[], []]
  for (
    const start = performance.now();
    samples[0].length < 5 || performance.now() - start < 2000 * seconds;
  ) {
    samples[0].push(await one.sample())
    samples[1].push(await other.sample())
    if (!(await shouldContinue(monitor, (performance.now() - start) / 2000 / seconds))) break
  }
  return [median(samples[0]), median(samples[1])]
}

/**
 * One step again and again, with noise for its first input and its weights, not on the first frame.
 */
export class Runner {
  readonly step: Step
  readonly backend: Backend
  readonly #run: () => Promise<unknown>
  readonly #repeats: number

  private constructor(step: Step, backend: Backend, repeats: number, run: () => Promise<unknown>) {
    this.step = step
    this.backend = backend
    this.#repeats = repeats
    this.#run = run
  }

  static async create(step: Step, build: Build, seconds: number): Promise<Runner> {
    const weights = weightsOf(step)
    const backend = await WasmBackend.create(weights, undefined, build)
    weights.forEach((weight, index) =>
      backend.write(
        weight,
        values(weight.blocks * weight.rows * weight.columns, index, 0.1),
        0,
        weight.columns,
        0,
      ),
    )
    const [input] = inputsOf(step) as [Tensor]
    const pixels = values(input.buffer.size, 99, 1)
    const state = await backend.createState(statesOf(step))
    const repeated = async (repeats: number) => {
      const steps = new Array<Step>(repeats).fill(step)
      const replay = await backend.prepare({
        b: 1,
        t: 1,
        inputs: { pixels: input },
        steps,
        outputs: {},
        states: statesOf(step),
      })
      return () => replay.run(state, 1, { pixels })
    }
    const few = await repeated(8)
    await warm(few, Math.min(500, 1000 * seconds))
    const repeats = Math.min(
      100_000,
      Math.max(1, Math.round(RUN_MILLISECONDS / ((await time(few)).wall / 8))),
    )
    return new Runner(step, backend, repeats, await repeated(repeats))
  }

  /**
   * Milliseconds of processor time of the step once: what other work on the machine takes does not
   * count.
   */
  async sample(): Promise<number> {
    return (await time(this.#run)).cpu / this.#repeats
  }

  dispose(): void {
    this.backend.dispose()
  }
}

function values(size: number, seed: number, spread: number): Float32Array {
  const next = noise(seed)
  return Float32Array.from({ length: size }, () => spread * next())
}
