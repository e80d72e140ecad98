/** Runs of a masked trainer over clips. */
import type { NdArray } from '../base/array.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import { checkPlan, type FitOptions, framesOf } from './fit.ts'
import type { MaskedBatch } from './maskedBatch.ts'
import type { UpdateResult } from './optimizer.ts'
import { epochsOf, type Sample } from './samples.ts'

/** Options of a run of a masked trainer. */
export type MaskedFitOptions = Omit<FitOptions, 'onFeatures'>

/** What a step of a run did. */
export interface MaskedProgress extends UpdateResult {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  /** Frames of the batch per second, with the time to read them. */
  readonly framesPerSecond: number
}

const OPTIONS: OptionNames<MaskedFitOptions> = {
  epochs: 1,
  batch: 1,
  seed: 1,
  skip: 1,
  augment: 1,
  signal: 1,
}

/** See MaskedTrainer.fit. */
export async function* runMasked(
  trainer: { step(batches: readonly MaskedBatch[]): Promise<UpdateResult> },
  clips: readonly Sample['clip'][],
  options: MaskedFitOptions,
): AsyncGenerator<MaskedProgress, void, undefined> {
  checkOptions('fit', options, OPTIONS)
  const samples = clips.map((clip) => ({ clip, label: 0 }))
  let start = performance.now()
  for await (const { epoch, batch } of epochsOf(samples, checkPlan(clips, options))) {
    const result = await trainer.step(
      batch.map((same) => ({ frames: same.clips as NdArray<Uint8Array> })),
    )
    const framesPerSecond = (1000 * framesOf(batch)) / (performance.now() - start)
    yield { ...result, epoch, framesPerSecond }
    start = performance.now()
  }
}
