/**
 * Training: a model learns from labelled clips, in every runtime, to the same bits in the
 * deterministic build.
 * @module trecvit/train
 * @example
 * import { initialise, Trainer } from 'trecvit/train'
 * const trainer = await Trainer.create(config, initialise(config, 1), { schedule })
 * for await (const { loss } of trainer.fit(samples, { epochs: 10 })) console.log(loss)
 */

export type { Build } from '../backend/wasm/builds.ts'
export type { CpuOptions } from '../backend/wasm/open.ts'
export type { NdArray } from '../base/array.ts'
export type { Config } from '../model/config.ts'
export type { AdamOptions } from './adam.ts'
export { type Augmentation, augment } from './augment.ts'
export type { Batch, Clips, StepResult } from './batch.ts'
export { encodeCheckpoint, type LoadParametersOptions, loadParameters } from './checkpoint.ts'
export { openTrainingCpu } from './cpu.ts'
export { createModel } from './createModel.ts'
export type { Evaluation, FitOptions, Progress } from './fit.ts'
export { openTrainingGpu } from './gpu.ts'
export { initialise } from './initialise.ts'
export type { MaskedBatch } from './maskedBatch.ts'
export type { MaskedFitOptions, MaskedProgress } from './maskedFit.ts'
export { type DecoderConfig, decoderFor, initialiseMasked } from './maskedModel.ts'
export { MaskedTrainer } from './maskedTrainer.ts'
export type { UpdateResult } from './optimizer.ts'
export type { MaskedTrainerOptions, TrainerOptions } from './options.ts'
export type { BatchSize } from './program.ts'
export type { Clip, Sample } from './samples.ts'
export type { Schedule } from './schedule.ts'
export { type ChunkBatch, TrainingStream } from './stream.ts'
export { Trainer } from './trainer.ts'
export { type TrainingMemory, trainingMemory } from './trainingMemory.ts'
export type { Parameters } from './weights.ts'
