import type { Device } from '../backend/backend.ts'
import { checkCount, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { type Config, encoderOf } from '../model/config.ts'
import { weightTable } from '../model/weights.ts'
import { encodeCheckpoint } from './checkpoint.ts'
import { drawVisible, type MaskedBatch, maskedInputs, maskRandom } from './maskedBatch.ts'
import { type MaskedFitOptions, type MaskedProgress, runMasked } from './maskedFit.ts'
import {
  checkMaskedConfig,
  type DecoderConfig,
  decoderTensors,
  encoderConfig,
  maskedParametersOf,
  patchesOf,
} from './maskedModel.ts'
import { maskedPartsOf } from './maskedParts.ts'
import { type MaskedTraining, recordMaskedPrediction } from './maskedProgram.ts'
import { Optimizer, type UpdateResult } from './optimizer.ts'
import { checkMaskedOptions, type MaskedTrainerOptions } from './options.ts'
import { drawReconstruction } from './reconstruct.ts'
import type { Clip } from './samples.ts'
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts'
import { type Parameters, trainingWeights } from './weights.ts'

/**
 * Trains an encoder on video without labels, as a masked auto-encoder: nine tenths of the patches
 * are hidden, and a decoder predicts the pixels of all patches from the visible ones. The defaults
 * of AdamW are those of VideoMAE: beta2 0.95, weight decay 0.05, no clipping.
 * @example
 * const decoder = decoderFor(config)
 * const start = initialiseMasked(config, decoder, 1)
 * const trainer = await MaskedTrainer.create(config, decoder, start, {
 *   schedule: { peak: 3e-4, warmup: 100, steps: 1000 },
 * })
 * for (const frames of batches) console.log((await trainer.step({ frames })).loss)
 * const bytes = await trainer.encoder()
 */
export class MaskedTrainer {
  /** The configuration of the encoder: without head and class token. */
  readonly config: Config
  /** The configuration of the decoder. */
  readonly decoder: DecoderConfig
  readonly #optimizer: Optimizer
  readonly #options: MaskedTrainerOptions

  private constructor(
    config: Config,
    decoder: DecoderConfig,
    optimizer: Optimizer,
    options: MaskedTrainerOptions,
  ) {
    this.config = config
    this.decoder = decoder
    this.#optimizer = optimizer
    this.#options = options
  }

  /**
   * Opens a device and writes the parameters.
   * @param config of a model; its head and its class token have no part
   * @param decoder for example from `decoderFor`
   * @param parameters values of all parameters, for example from `initialiseMasked`
   * @throws TrecvitError if a configuration or an option is wrong, a parameter is missing or has
   *   another size, or the weights do not fit
   */
  static async create(
    config: Config,
    decoder: DecoderConfig,
    parameters: Parameters,
    options: MaskedTrainerOptions,
  ): Promise<MaskedTrainer> {
    checkMaskedOptions(options)
    checkMaskedConfig(config, decoder)
    const own = encoderConfig(config)
    const weights = trainingWeights(
      ...([encoderOf(own), maskedParametersOf(own, decoder)] as const),
      [...weightTable(own), ...decoderTensors(own, decoder).weights],
    )
    const recipe = { beta2: 0.95, weightDecay: 0.05, clip: 0 }
    const optimizer = await Optimizer.open(weights, parameters, { ...recipe, ...options })
    return new MaskedTrainer(own, decoder, optimizer, options)
  }

  /** The device that computes, and the build of its kernels. */
  get device(): Device {
    return this.#optimizer.device
  }

  /** Number of updates so far. */
  get steps(): number {
    return this.#optimizer.steps
  }

  /**
   * Makes one update with the mean gradient of all patches.
   * @param batch clips of the same length, or several batches of clips of different lengths
   * @throws TrecvitError if a batch does not fit the model, or if the loss or a gradient is not
   *   finite; the weights are then unchanged
   */
  async step(batch: MaskedBatch | readonly MaskedBatch[]): Promise<UpdateResult> {
    const batches = 'frames' in batch ? [batch] : batch
    checkCount('batches', batches.length)
    const { seed = 1, ...options } = this.#options
    const { result } = await this.#optimizer.update((steps) =>
      maskedPartsOf(this.#training, batches, { ...options, random: maskRandom(seed, steps) }),
    )
    return result
  }

  /**
   * Returns the pixels of all patches, as predicted from the visible ones: [b, t, g, p·p·3] in the
   * order (y, x, colour), each colour of a patch normalised to mean 0 and deviation 1.
   * @throws TrecvitError if the batch does not fit the model
   */
  async predict({
    frames,
    visible = this.#visible(frames),
  }: MaskedBatch): Promise<NdArray<Float32Array>> {
    const { size, inputs } = maskedInputs(this.config, { frames, visible })
    const { b, t, v } = size
    const [outputs] = await this.#optimizer.run([
      {
        key: `predict ${b} ${t} ${v}`,
        record: () => recordMaskedPrediction(this.#training, size),
        inputs,
      },
    ])
    const { prediction } = outputs!
    const g = patchesOf(this.config)
    return { data: prediction!, shape: [b, t, g, prediction!.length / (b * t * g)] }
  }

  /**
   * Returns pictures of what `predict` returns: the frames with hidden patches in grey, and with
   * predicted patches, which have the mean and the contrast of the original.
   * @returns bytes [b, t, H, W, 3]
   * @throws TrecvitError if the batch does not fit the model
   * @example
   * const { masked, reconstruction } = await trainer.reconstruct({ frames })
   */
  async reconstruct({ frames, visible = this.#visible(frames) }: MaskedBatch): Promise<{
    /** The frames, with hidden patches in grey. */
    masked: NdArray<Uint8Array>
    /** The frames, with predicted patches in place of the hidden ones. */
    reconstruction: NdArray<Uint8Array>
  }> {
    const { data } = await this.predict({ frames, visible })
    const { pixels, masked } = maskedInputs(this.config, { frames, visible }).inputs
    const drawn = drawReconstruction(this.config, pixels, data, masked)
    const { shape } = frames
    return {
      masked: { data: drawn.masked, shape },
      reconstruction: { data: drawn.reconstruction, shape },
    }
  }

  /**
   * Trains on clips, and yields what each step did.
   * @param clips [t, H, W, 3] of bytes, or functions that read them each time they are needed
   * @throws TrecvitError as `step` does
   * @example
   * for await (const { step, loss } of trainer.fit(clips, { epochs: 10 })) console.log(step, loss)
   */
  fit(
    clips: readonly (Clip | (() => Clip | Promise<Clip>))[],
    options: MaskedFitOptions,
  ): AsyncGenerator<MaskedProgress, void, undefined> {
    return runMasked(this, clips, options)
  }

  /** Returns the values of all parameters: official names, and `mae_decoder/...`. */
  parameters(): Promise<Map<string, Float32Array>> {
    return this.#optimizer.parameters()
  }

  /**
   * Returns the encoder as a .safetensors file: TRecViT.load reads it as a model that gives
   * features, and `loadParameters` as the start of a `Trainer`.
   */
  async encoder(): Promise<Uint8Array> {
    return encodeCheckpoint(this.config, await this.parameters())
  }

  /**
   * Returns the trainer as a .safetensors file: parameters, moments and the number of steps. A
   * trainer that `resume` makes of it gives the same bits as this one.
   */
  async save(): Promise<Uint8Array> {
    const { config, decoder } = this
    return encodeSnapshot({ config, decoder, ...(await this.#optimizer.snapshot()) })
  }

  /**
   * Continues a trainer from the bytes of `save`.
   * @param options as for the trainer that was saved
   * @throws TrecvitError as `create` does, or if the bytes are not those of a masked trainer that
   *   trained the same parameters
   */
  static async resume(bytes: Uint8Array, options: MaskedTrainerOptions): Promise<MaskedTrainer> {
    const { config, decoder, steps, parameters, moments } = await decodeSnapshot(bytes)
    if (!decoder)
      throw new TrecvitError(
        'The snapshot of a masked trainer expected a decoder, got that of a classifier; resume ' +
          'it with Trainer',
      )
    const trainer = await MaskedTrainer.create(config, decoder, parameters, options)
    try {
      trainer.#optimizer.restore(steps, moments)
    } catch (error) {
      await trainer.dispose()
      throw error
    }
    return trainer
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

  #visible({ shape: [b = 0] }: NdArray<Uint8Array>): number[][] {
    return drawVisible(this.config, b, maskRandom(this.#options.seed ?? 1, this.steps))
  }

  get #training(): MaskedTraining {
    return { ...this.#optimizer.training, config: this.config, decoder: this.decoder }
  }
}
