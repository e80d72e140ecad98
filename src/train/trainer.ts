import type { Device } from '../backend/backend.ts'
import { checkCount, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { type Config, checkConfig, encoderOf, hasClassHead } from '../model/config.ts'
import type { LoadOptions } from '../model/options.ts'
import { TRecViT } from '../model/trecvit.ts'
import { parametersOf, weightTable } from '../model/weights.ts'
import {
  type Batch,
  type Clips,
  checkClips,
  partsOf,
  type StepResult,
  type VideoStates,
} from './batch.ts'
import { encodeCheckpoint } from './checkpoint.ts'
import { type Evaluation, evaluate, type FitOptions, type Progress, run } from './fit.ts'
import { headInputsOf, withFeatures } from './headInputs.ts'
import { Optimizer } from './optimizer.ts'
import { checkTrainerOptions, type TrainerOptions } from './options.ts'
import { type ClassifierTraining, recordClassifier } from './program.ts'
import type { Sample } from './samples.ts'
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts'
import { TrainingStream } from './stream.ts'
import { type Parameters, trainingWeights } from './weights.ts'

/**
 * Trains a classifier: AdamW on the cross-entropy of whole clips. The weights and their moments
 * stay on the device.
 * @example
 * const trainer = await Trainer.create(config, initialise(config, 1), {
 *   schedule: { peak: 1e-3, warmup: 100, steps: 1000 },
 * })
 * for (const batch of batches) console.log((await trainer.step(batch)).loss)
 * const bytes = await encodeCheckpoint(config, await trainer.parameters())
 */
export class Trainer {
  /** The configuration of the model. */
  readonly config: Config
  readonly #optimizer: Optimizer
  readonly #options: TrainerOptions

  private constructor(config: Config, optimizer: Optimizer, options: TrainerOptions) {
    this.config = config
    this.#optimizer = optimizer
    this.#options = options
  }

  /**
   * Opens a device and writes the parameters.
   * @param parameters values of all parameters, for example from `initialise`
   * @throws TrecvitError if the configuration has no classes, a parameter is missing or has another
   *   size, an option is wrong, or the weights do not fit
   */
  static async create(
    config: Config,
    parameters: Parameters,
    options: TrainerOptions,
  ): Promise<Trainer> {
    checkTrainerOptions(options)
    checkConfig(config)
    if (!hasClassHead(config))
      throw new TrecvitError('Config "numClasses" expected at least 1 to train a classifier, got 0')
    const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
    const optimizer = await Optimizer.open(weights, parameters, options)
    return new Trainer(config, optimizer, options)
  }

  /** The device that computes, and the build of its kernels. */
  get device(): Device {
    return this.#optimizer.device
  }

  /** Number of updates so far. */
  get steps(): number {
    return this.#optimizer.steps
  }

  /** Whether only the head is trained. The features of a clip then stay the same. */
  get trainsHeadOnly(): boolean {
    return this.#optimizer.training.trained.every(({ name }) => name.startsWith('decoder/'))
  }

  /**
   * Makes one update with the mean gradient of all clips.
   * @param batch clips of the same length, or several batches of clips of different lengths
   * @throws TrecvitError if a batch does not fit the model, if features are given but more than
   *   the head is trained, or if the loss or a gradient is not finite; the weights are then
   *   unchanged
   */
  step(batch: Batch | readonly Batch[]): Promise<StepResult> {
    return this.#step(isBatch(batch) ? [batch] : batch)
  }

  /**
   * Begins b videos, which are trained on in chunks of frames.
   * @example
   * const stream = trainer.stream(2)
   * for (const { frames, targets } of chunks) await stream.step({ frames, targets })
   */
  stream(b: number = 1): TrainingStream {
    return new TrainingStream(b, (batch, states) => this.#step([batch], states))
  }

  /**
   * Returns the logits [b, c] of whole clips with the present weights.
   * @throws TrecvitError if the clips do not fit the model
   */
  async classify(clips: Clips): Promise<NdArray<Float32Array>> {
    const { b, t, from, input } = checkClips(this.config, clips)
    const [outputs] = await this.#optimizer.run([
      {
        key: `classify ${from} ${b} ${t}`,
        record: () => recordClassifier(this.#training, { b, t }, from),
        inputs: { [from]: input },
      },
    ])
    return { data: outputs!['logits']!, shape: [b, this.config.numClasses] }
  }

  /**
   * Returns the features [b, t, d] that the head reads: the class token, or the mean over tokens.
   * While only the head is trained, they stay the same.
   * @param frames [b, t, H, W, 3], bytes
   * @throws TrecvitError if the clips do not fit the model
   */
  features(frames: NdArray<Uint8Array>): Promise<NdArray<Float32Array>> {
    return headInputsOf(this.#training, frames, (runs) => this.#optimizer.run(runs))
  }

  /**
   * Trains on samples, and yields the result of each step. If only the head is trained, the
   * features of each sample are computed once, and an epoch takes milliseconds.
   * @throws TrecvitError as `step` does
   * @example
   * for await (const { step, loss, accuracy } of trainer.fit(samples, { epochs: 10 }))
   *   console.log(step, loss, accuracy)
   */
  fit(samples: readonly Sample[], options: FitOptions): AsyncGenerator<Progress, void, undefined> {
    return run(this, samples, options)
  }

  /**
   * Classifies samples with the present weights.
   * @param options.batch clips in a batch, 8 by default
   * @throws TrecvitError as `classify` does
   * @example
   * const { top1 } = await trainer.evaluate(samples)
   */
  evaluate(
    samples: readonly Sample[],
    options: Pick<FitOptions, 'batch' | 'signal'> = {},
  ): Promise<Evaluation> {
    return evaluate(this, samples, options)
  }

  /** Returns the values of all parameters, by their official names. */
  parameters(): Promise<Map<string, Float32Array>> {
    return this.#optimizer.parameters()
  }

  /**
   * Returns the trainer as a .safetensors file: parameters, moments and the number of steps. A
   * trainer that `resume` makes of it gives the same bits as this one.
   * @param labels names of the classes: the file is a model as well
   */
  async save(labels?: readonly string[]): Promise<Uint8Array> {
    return encodeSnapshot({ config: this.config, ...(await this.#optimizer.snapshot()) }, labels)
  }

  /**
   * Continues a trainer from the bytes of `save`.
   * @param options as for the trainer that was saved
   * @throws TrecvitError as `create` does, or if the bytes are not those of a trainer that trained
   *   the same parameters
   */
  static async resume(bytes: Uint8Array, options: TrainerOptions): Promise<Trainer> {
    const { config, steps, parameters, moments } = await decodeSnapshot(bytes)
    const trainer = await Trainer.create(config, parameters, options)
    try {
      trainer.#optimizer.restore(steps, moments)
    } catch (error) {
      await trainer.dispose()
      throw error
    }
    return trainer
  }

  /**
   * Returns a model with the present parameters.
   * @param options as for TRecViT.load, for example `labels`
   */
  async model(options: LoadOptions = {}): Promise<TRecViT> {
    return TRecViT.load(await encodeCheckpoint(this.config, await this.parameters()), options)
  }

  /**
   * Frees the memory of the device after the calls so far. Later calls reject. May be called more
   * than once.
   */
  dispose(): Promise<void> {
    return this.#optimizer.dispose()
  }

  /** Disposes of the trainer at the end of a scope, with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  async #step(batches: readonly Batch[], states?: VideoStates): Promise<StepResult> {
    checkCount('batches', batches.length)
    if (batches.some((batch) => 'features' in batch) && !this.trainsHeadOnly)
      throw new TrecvitError('"features" expected a trainer of the head alone; give "frames"')
    const { labelSmoothing, microBatch } = this.#options
    let indices: number[][] = []
    const { result, outputs } = await this.#optimizer.update(async (_, run) => {
      const isFrozen = this.trainsHeadOnly && !states
      const given = isFrozen ? await withFeatures(this.#training, batches, run) : batches
      const options = { labelSmoothing, microBatch, ...(states && { states }) }
      const { parts, clips } = partsOf(this.#training, given, options)
      indices = clips
      return parts
    })
    const c = this.config.numClasses
    const data = new Float32Array(indices.flat().length * c)
    for (const [part, clips] of indices.entries())
      for (const [index, clip] of clips.entries())
        data.set(outputs[part]!['logits']!.subarray(index * c, (index + 1) * c), clip * c)
    return { ...result, logits: { data, shape: [data.length / c, c] } }
  }

  get #training(): ClassifierTraining {
    return { ...this.#optimizer.training, config: this.config }
  }
}

function isBatch(batch: Batch | readonly Batch[]): batch is Batch {
  return !Array.isArray(batch)
}
