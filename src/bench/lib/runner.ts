/** Runs one step of a model repeatedly, alone or alternating with another. */
import type { Backend } from '../../backend/backend.ts'
import type { Build } from '../../backend/wasm/builds.ts'
import { WasmBackend } from '../../backend/wasm/wasm.ts'
import { LEVELS } from '../../base/int8.ts'
import {
  inputsOf,
  type Step,
  statesOf,
  type Tensor,
  type Weight,
  weightsOf,
} from '../../program/program.ts'
import { type Monitor, shouldContinue } from './bench.ts'
import { median, time, warm } from './stats.ts'
import { noise } from './weights.ts'

/**
 * Approximate duration of a run of one step. It is long enough for the copy of the input not to
 * matter.
 */
const RUN_MILLISECONDS = 20

/** Measures something once: milliseconds of CPU time. */
export interface Sampler {
  sample(): Promise<number>
}

/**
 * Returns the median milliseconds of each of two samplers. Their samples alternate, so that other
 * work on the machine affects both.
 */
export async function inTurn(
  one: Sampler,
  other: Sampler,
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
 * Runs one step repeatedly, with noise as its first input and its weights. The frame is not the
 * first one since a reset.
 */
export class Runner implements Sampler {
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
      backend.write(weight, valuesOf(weight, index), 0, weight.columns, 0),
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
   * Returns the CPU time of one run of the step in milliseconds. It excludes other work on the
   * machine.
   */
  async sample(): Promise<number> {
    return (await time(this.#run)).cpu / this.#repeats
  }

  dispose(): void {
    this.backend.dispose()
  }
}

/** Returns noise for a weight. */
function valuesOf({ kind, blocks, rows, columns }: Weight, seed: number): Float32Array | Int8Array {
  const size = blocks * rows * columns
  return kind === 'int8' ? Int8Array.from(values(size, seed, LEVELS)) : values(size, seed, 0.1)
}

function values(size: number, seed: number, spread: number): Float32Array {
  const next = noise(seed)
  return Float32Array.from({ length: size }, () => spread * next())
}
