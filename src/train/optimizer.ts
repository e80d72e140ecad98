import type { Inputs } from '../backend/backend.ts'
import { TrecvitError } from '../base/error.ts'
import { Turns } from '../base/turns.ts'
import { type Program, sizeOf } from '../program/program.ts'
import { ratesOf } from './adam.ts'
import { openTrainingCpu } from './cpu.ts'
import { TrainingDevice } from './device.ts'
import type { OptimizerOptions } from './options.ts'
import { learningRate } from './schedule.ts'
import type { Snapshot } from './snapshot.ts'
import type { Training } from './update.ts'
import {
  isTrained,
  momentsOf,
  type Parameters,
  splitWeight,
  type TrainingWeights,
  withMoments,
  writeDerived,
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
  readonly training: Training
  readonly #start: Parameters
  readonly #options: OptimizerOptions
  /** Calls take turns: a step has the rates of its number, and a snapshot is that of one step. */
  readonly #turns = new Turns()
  #steps = 0
  #end: Promise<void> | undefined

  private constructor(
    device: TrainingDevice,
    training: Training,
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
    const { trains = () => true, open = (all) => openTrainingCpu(all, 'simd', options) } = options
    const trained = weights.copied.filter((weight) => isTrained(weight, trains))
    if (trained.length === 0)
      throw new TrecvitError('"trains" expected at least one parameter to train, got none')
    const backend = await open(withMoments(weights, trained))
    writeParameters(backend, weights, parameters)
    const { recompute = 'none' } = options
    const training = { weights, trained, recompute }
    return new Optimizer(new TrainingDevice(backend), training, parameters, options)
  }

  /** Number of updates so far. */
  get steps(): number {
    return this.#steps
  }

  /**
   * Makes one update.
   * @param plan returns what to run: the key of the program, what records it (`loss` and the
   * outputs of `recordUpdate`), and all inputs but the rates. Called with the updates so far
   * @throws TrecvitError if the loss or a gradient is not finite; the weights are then unchanged
   */
  async update(
    plan: (steps: number) => {
      readonly key: string
      readonly record: () => Program
      readonly inputs: Inputs
    },
  ): Promise<{ result: UpdateResult; outputs: Readonly<Record<string, Float32Array>> }> {
    return this.#take(async () => {
      const { key, record, inputs } = plan(this.#steps)
      const rate = learningRate(this.#options.schedule, this.#steps)
      const rates = ratesOf(this.#options, rate, this.#steps + 1)
      const outputs = await this.#device.run(key, record, { ...inputs, ...rates })
      const loss = outputs['loss']!.reduce((sum, value) => sum + value, 0)
      const gradientNorm = outputs['norm']![0]!
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm))
        throw new TrecvitError(
          `Step ${this.#steps + 1} expected a finite loss and gradient, got loss ${loss} and ` +
            `gradient norm ${gradientNorm}; the weights are unchanged`,
        )
      this.#refresh(outputs)
      this.#steps++
      return { result: { step: this.#steps, loss, learningRate: rate, gradientNorm }, outputs }
    })
  }

  /**
   * Runs a program that changes no weight.
   * @param key identifies the program
   */
  run(
    key: string,
    record: () => Program,
    inputs: Inputs,
  ): Promise<Readonly<Record<string, Float32Array>>> {
    return this.#take(() => this.#device.run(key, record, inputs))
  }

  /** Returns the values of all parameters, by their official names. */
  parameters(): Promise<Map<string, Float32Array>> {
    return this.#take(() => this.#parameters())
  }

  /** Returns the parameters, the moments by the names of their weights, and the steps so far. */
  snapshot(): Promise<Pick<Snapshot, 'parameters' | 'moments' | 'steps'>> {
    return this.#take(async () => {
      const moments = new Map<string, Float32Array>()
      for (const weight of momentsOf(this.training.trained))
        moments.set(weight.name, await this.#device.read(weight))
      return { parameters: await this.#parameters(), moments, steps: this.#steps }
    })
  }

  /**
   * Continues from saved moments.
   * @throws TrecvitError if they are those of other weights
   */
  restore(steps: number, moments: ReadonlyMap<string, Float32Array>): void {
    const weights = momentsOf(this.training.trained)
    if (weights.length !== moments.size || weights.some(({ name }) => !moments.has(name)))
      throw new TrecvitError('"trains" expected the parameters that the saved trainer trained')
    for (const weight of weights)
      this.#device.backend.write(weight, moments.get(weight.name)!, 0, weight.columns, 0)
    this.#steps = steps
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

  async #parameters(): Promise<Map<string, Float32Array>> {
    const values = new Map(
      this.training.weights.parameters.map(
        ({ name }) => [name, Float32Array.from(this.#start.get(name)!)] as const,
      ),
    )
    for (const weight of this.training.trained)
      splitWeight(weight, await this.#device.read(weight), values)
    return values
  }

  /** Computes the weights again that are functions of parameters. */
  #refresh(outputs: Readonly<Record<string, Float32Array>>): void {
    for (const weight of this.training.weights.derived) {
      const now = weight.parameters.map((name) => outputs[`parameters/${name}`])
      if (now.every((values) => !values)) continue
      const values = weight.parameters.map(
        (name, index) => [name, now[index] ?? this.#start.get(name)!] as const,
      )
      writeDerived(this.#device.backend, weight, new Map(values))
    }
  }
}
