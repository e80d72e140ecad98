import type { Device } from '../backend/backend.ts'
import { TrecvitError } from '../base/error.ts'
import { Turns } from '../base/turns.ts'
import { sizeOf, type Weight } from '../program/program.ts'
import { ratesOf } from './adam.ts'
import type { Outputs, Run, RunResult, TrainingDevice } from './device.ts'
import { openDevice } from './openDevice.ts'
import type { OptimizerOptions } from './options.ts'
import { type Part, runsOf } from './parts.ts'
import { learningRate } from './schedule.ts'
import type { Snapshot } from './snapshot.ts'
import { recordSummedUpdate } from './update.ts'
import {
  averagesOf,
  beside,
  isTrained,
  type Parameters,
  savedWeights,
  splitWeight,
  type Training,
  type TrainingWeights,
  writeParameters,
} from './weights.ts'

/** Result of an update. */
export interface UpdateResult {
  /** Number of the update, from 1. */
  readonly step: number
  /** Mean loss of the batch, before the update. */
  readonly loss: number
  /** Learning rate of the update. */
  readonly learningRate: number
  /** Norm of all gradients, before clipping. */
  readonly gradientNorm: number
}

/** The weights of a model on a device, their moments, and the number of updates. */
export class Optimizer {
  readonly #device: TrainingDevice
  readonly training: Required<Training>
  readonly #start: Parameters
  readonly #options: OptimizerOptions
  /** Calls take turns: a step has the rates of its number, and a snapshot is that of one step. */
  readonly #turns = new Turns()
  #steps = 0
  /** The updates after which weights that are functions of averages were computed. */
  #averaged = 0
  #end: Promise<void> | undefined

  private constructor(
    device: TrainingDevice,
    training: Required<Training>,
    start: Parameters,
    options: OptimizerOptions,
  ) {
    this.#device = device
    this.training = training
    this.#start = start
    this.#options = options
  }

  /**
   * Opens a device and writes the parameters.
   * @throws TrecvitError if a parameter is missing or has another size, none is trained, or the
   * weights do not fit
   */
  static async open(
    weights: TrainingWeights,
    parameters: Parameters,
    options: OptimizerOptions,
  ): Promise<Optimizer> {
    for (const { name, shape } of weights.parameters) {
      const got = parameters.get(name)?.length
      if (got !== sizeOf(shape))
        throw new TrecvitError(
          `Parameter "${name}" expected ${sizeOf(shape)} values, got ${got ?? 'none'}`,
        )
    }
    const { trains = () => true, recompute = 'none', ema } = options
    const trained = weights.copied.filter((weight) => isTrained(weight, trains))
    if (trained.length === 0)
      throw new TrecvitError('"trains" expected at least one parameter to train, got none')
    const training = { weights, trained, recompute, averages: ema !== undefined }
    const device = await openDevice(training, parameters, options)
    return new Optimizer(device, training, parameters, options)
  }

  /** The device that computes. */
  get device(): Device {
    return this.#device.backend.device
  }

  /** Number of updates so far. */
  get steps(): number {
    return this.#steps
  }

  /**
   * Makes one update. With several parts, the gradients of all are added up first.
   * @param plan returns the parts. Called with the updates so far, and with what runs programs that
   * change no weight
   * @returns the result, and the outputs of each part
   * @throws TrecvitError if the loss or a gradient is not finite; the weights are then unchanged
   */
  async update(
    plan: (
      steps: number,
      run: (runs: readonly Run[]) => Promise<Outputs[]>,
    ) => readonly Part[] | Promise<readonly Part[]>,
  ): Promise<{ readonly result: UpdateResult; readonly outputs: readonly Outputs[] }> {
    return this.#take(async () => {
      const parts = await plan(this.#steps, (runs) => this.#run(runs))
      const rate = learningRate(this.#options.schedule, this.#steps)
      const { ema = 0 } = this.#options
      const rates = {
        ...ratesOf(this.#options, rate, this.#steps + 1),
        averaging: Float32Array.of(ema, 1 - Math.fround(ema)),
      }
      const runs = runsOf(parts, rates, this.training)
      const results: RunResult[] = []
      for (const run of runs) results.push(await this.#device.run(run))
      const outputs = results.map((result) => result.outputs)
      const losses = outputs.flatMap((output) => [...output['loss']!])
      const loss = losses.reduce((sum, value) => sum + value, 0)
      // A single part updates the weights itself, unless its loss is not finite.
      if (runs.length > 1 && Number.isFinite(loss)) {
        const record = () => recordSummedUpdate(this.training)
        runs.push({ key: 'update', record, inputs: rates })
        outputs.push((await this.#device.run(runs.at(-1)!)).outputs)
      }
      const gradientNorm = outputs.at(-1)!['norm']?.[0] ?? NaN
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        const why = await this.#device.whyNotFinite(runs)
        throw new TrecvitError(
          `Step ${this.#steps + 1} expected a finite loss and gradient, got loss ${loss} and ` +
            `gradient norm ${gradientNorm}; ${why}; the weights are unchanged`,
        )
      }
      this.#refresh(outputs.at(-1)!)
      this.#steps++
      parts.forEach(({ keep }, index) => keep?.(results[index]!.after!))
      const result = { step: this.#steps, loss, learningRate: rate, gradientNorm }
      return { result, outputs: outputs.slice(0, parts.length) }
    })
  }

  /**
   * Runs programs that change no weight, one after the other. They read the averages of weights, if
   * there are some.
   */
  run(runs: readonly Run[]): Promise<Outputs[]> {
    return this.#take(() => this.#run(runs))
  }

  /**
   * Returns the values of all parameters, by their official names: the averages, if there are some.
   */
  parameters(): Promise<Map<string, Float32Array>> {
    return this.#take(() => this.#parameters(this.training.averages))
  }

  /**
   * Returns the parameters, the moments and averages by the names of their weights, and the steps
   * so far.
   */
  snapshot(): Promise<Pick<Snapshot, 'parameters' | 'moments' | 'steps'>> {
    return this.#take(async () => {
      const moments = new Map<string, Float32Array>()
      for (const weight of this.#saved) moments.set(weight.name, await this.#device.read(weight))
      return { parameters: await this.#parameters(false), moments, steps: this.#steps }
    })
  }

  /**
   * Continues from saved moments.
   * @throws TrecvitError if they are those of other weights
   */
  restore(steps: number, moments: ReadonlyMap<string, Float32Array>): void {
    const hasAverages = [...moments.keys()].some((name) => name.startsWith('ema/'))
    if (hasAverages !== this.training.averages)
      throw new TrecvitError(
        `"ema" expected ${hasAverages ? 'a number, as' : 'nothing, because'} the saved trainer ` +
          `has ${hasAverages ? 'averages' : 'no averages'}`,
      )
    const weights = this.#saved
    if (weights.length !== moments.size || weights.some(({ name }) => !moments.has(name)))
      throw new TrecvitError('"trains" expected the parameters that the saved trainer trained')
    for (const weight of weights)
      this.#device.backend.write(weight, moments.get(weight.name)!, 0, weight.columns, 0)
    this.#steps = steps
    this.#averaged = NaN
  }

  /** Frees the memory of the device after the calls so far. May be called more than once. */
  dispose(): Promise<void> {
    this.#end ??= this.#turns.take(async () => this.#device.backend.dispose())
    return this.#end
  }

  async #take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#end) throw new TrecvitError('The trainer was disposed of; make another one')
    return this.#turns.take(work)
  }

  get #saved(): Weight[] {
    return savedWeights(this.training)
  }

  async #run(runs: readonly Run[]): Promise<Outputs[]> {
    await this.#refreshAverages()
    const outputs: Outputs[] = []
    for (const run of runs) outputs.push((await this.#device.run(run)).outputs)
    return outputs
  }

  async #parameters(averaged: boolean): Promise<Map<string, Float32Array>> {
    const values = new Map(
      this.training.weights.parameters.map(
        ({ name }) => [name, Float32Array.from(this.#start.get(name)!)] as const,
      ),
    )
    for (const weight of this.training.trained) {
      const name = averaged ? beside('ema', weight) : weight.name
      splitWeight(weight, await this.#device.read({ ...weight, name }), values)
    }
    return values
  }

  /** Computes the weights again that are functions of parameters. */
  #refresh(outputs: Outputs): void {
    const now = (name: string) => outputs[`parameters/${name}`]
    for (const weight of this.training.weights.derived) {
      if (!weight.parameters.some(now)) continue
      const values = weight.parameters.map(
        (name) => [name, now(name) ?? this.#start.get(name)!] as const,
      )
      writeParameters(this.#device.backend, [weight], new Map(values))
    }
  }

  /** The same for those that are functions of averages, if there was an update. */
  async #refreshAverages(): Promise<void> {
    if (!this.training.averages || this.#averaged === this.#steps) return
    const derived = averagesOf(this.training).filter((weight) => 'derive' in weight)
    writeParameters(this.#device.backend, derived, await this.#parameters(true))
    this.#averaged = this.#steps
  }
}
