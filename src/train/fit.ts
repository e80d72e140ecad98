/** Runs over samples: training and evaluation. */
import { checkCount, type NdArray } from '../base/array.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import type { Config } from '../model/config.ts'
import { type Augmentation, checkAugmentation } from './augment.ts'
import type { Batch, Clips, StepResult } from './batch.ts'
import {
  batches,
  type Clip,
  type EpochOptions,
  epochsOf,
  type Gathered,
  type Sample,
} from './samples.ts'

/** The part of a trainer that a run uses. */
interface Learner {
  readonly config: Config
  readonly trainsHeadOnly: boolean
  step(batches: readonly Batch[]): Promise<StepResult>
  classify(clips: Clips): Promise<NdArray<Float32Array>>
  features(frames: NdArray<Uint8Array>): Promise<NdArray<Float32Array>>
}

/** Options of a run over samples. */
export interface FitOptions {
  /** Number of passes over the samples. */
  readonly epochs: number
  /**
   * Clips in a batch, 8 by default. They may have different lengths. A run makes
   * epochs · ⌈samples / batch⌉ steps.
   */
  readonly batch?: number
  /** Seed of the order of the samples, an integer from 0 to 2³² − 1; 1 by default. */
  readonly seed?: number
  /** Number of steps to skip, because a saved trainer has already made them. */
  readonly skip?: number
  /**
   * Varies the clips, in each epoch in another way; `{}` has the defaults. The variants are a
   * function of the seed, the epoch and the sample, so a resumed run has the same ones. A trainer
   * of the head alone then runs the encoder in every step.
   */
  readonly augment?: Augmentation
  /** Ends the run before the next step, with the reason of the signal. */
  readonly signal?: AbortSignal
  /**
   * Called with the samples whose features are computed, and their number, before the first step
   * of a trainer of the head alone.
   */
  readonly onFeatures?: (done: number, total: number) => void
}

/** Result of a step of a run. */
export interface Progress extends Omit<StepResult, 'logits'> {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  /** Share of the clips of the batch whose most probable class was right before the update. */
  readonly accuracy: number
  /** Frames of the batch per second. The time to read them is included. */
  readonly framesPerSecond: number
}

const OPTIONS: OptionNames<FitOptions> = {
  epochs: 1,
  batch: 1,
  seed: 1,
  skip: 1,
  augment: 1,
  signal: 1,
  onFeatures: 1,
}

/** See Trainer.fit. */
export async function* run(
  trainer: Learner,
  samples: readonly Sample[],
  options: FitOptions,
): AsyncGenerator<Progress, void, undefined> {
  checkOptions('fit', options, OPTIONS)
  const plan = checkPlan(samples, options)
  const usesFeatures = trainer.trainsHeadOnly && !plan.augment
  const used = usesFeatures ? await featuresOf(trainer, samples, options) : samples
  options.onFeatures?.(samples.length, samples.length)
  let start = performance.now()
  for await (const { epoch, batch } of epochsOf(used, plan)) {
    const { logits, ...result } = await trainer.step(batch.map(batchOf))
    const labels = batch.flatMap((same) => same.labels)
    const isRight = (label: number, index: number) => rankOf(label, index, logits) === 0
    yield {
      ...{ ...result, epoch, accuracy: labels.filter(isRight).length / labels.length },
      framesPerSecond: (1000 * framesOf(batch)) / (performance.now() - start),
    }
    start = performance.now()
  }
}

/**
 * Fills in the defaults of a run.
 * @throws TrecvitError if there are no samples, or an option is out of range
 */
export function checkPlan(
  samples: readonly unknown[],
  { epochs, batch = 8, seed = 1, skip = 0, signal, augment }: FitOptions,
): EpochOptions {
  checkCount('samples', samples.length)
  checkCount('epochs', epochs)
  checkCount('batch', batch)
  if (augment) checkAugmentation(augment)
  return { epochs, batch, seed, skip, signal, augment }
}

/** Accuracy of a model on samples. */
export interface Evaluation {
  /** Number of samples. */
  readonly count: number
  /** Share of the samples whose most probable class is right. */
  readonly top1: number
  /** Share of the samples whose class is among the five most probable ones. */
  readonly top5: number
  /** confusion[label][answer]: number of samples. */
  readonly confusion: readonly (readonly number[])[]
}

/** See Trainer.evaluate. */
export async function evaluate(
  trainer: Learner,
  samples: readonly Sample[],
  options: Pick<FitOptions, 'batch' | 'signal'> = {},
): Promise<Evaluation> {
  checkOptions('evaluate', options, { batch: 1, signal: 1 })
  checkCount('samples', samples.length)
  const c = trainer.config.numClasses
  const confusion = Array.from({ length: c }, () => new Array<number>(c).fill(0))
  let [top1, top5] = [0, 0]
  for await (const batch of batches(samples, options.batch ?? 8))
    for (const { clips, labels } of batch) {
      options.signal?.throwIfAborted()
      const logits = await trainer.classify(asClips(clips))
      for (const [index, label] of labels.entries()) {
        const rank = rankOf(label, index, logits)
        top1 += +(rank < 1)
        top5 += +(rank < 5)
        const answer = confusion.findIndex((_, other) => rankOf(other, index, logits) === 0)
        if (answer >= 0) confusion[label]![answer]!++
      }
    }
  const count = samples.length
  return { count, top1: top1 / count, top5: top5 / count, confusion }
}

/**
 * Returns the rank of a label: 0 for the most probable class. Ties go to the lower index. A logit
 * that is not a number ranks last.
 */
function rankOf(label: number, index: number, { data, shape }: NdArray<Float32Array>): number {
  const c = shape[1]!
  const own = data.subarray(index * c, (index + 1) * c)
  return own.filter(
    (value, other) =>
      other !== label && !(value < own[label]! || (value === own[label] && other > label)),
  ).length
}

/** Returns samples of features. */
async function featuresOf(
  trainer: Learner,
  samples: readonly Sample[],
  { signal, onFeatures }: FitOptions,
): Promise<Sample[]> {
  const found: Sample[] = []
  for await (const [sample] of batches(samples, 1)) {
    const { clips, labels } = sample!
    signal?.throwIfAborted()
    onFeatures?.(found.length, samples.length)
    const given = asClips(clips)
    const { data, shape } =
      'frames' in given ? await trainer.features(given.frames) : given.features
    found.push({ clip: { data, shape: shape.slice(1) }, label: labels[0]! })
  }
  return found
}

/** Returns the number of frames of a batch. */
export function framesOf(batch: readonly Gathered[]): number {
  return batch.reduce((sum, { clips: { shape } }) => sum + shape[0]! * shape[1]!, 0)
}

function batchOf({ clips, labels }: Gathered): Batch {
  return { ...asClips(clips), targets: labels }
}

function asClips(clips: Clip): Clips {
  const { data, shape } = clips
  return data instanceof Uint8Array ? { frames: { data, shape } } : { features: { data, shape } }
}
