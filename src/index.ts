/**
 * TRecViT in WebAssembly: load a model, classify video, follow streams.
 */

export type { Device } from './backend/backend.ts'
export type { NdArray } from './base/array.ts'
export { TrecvitError } from './base/error.ts'
export type {} from './base/globals.ts'
export { type Checkpoint, openCheckpoint } from './checkpoint/checkpoint.ts'
export type { TensorInfo } from './checkpoint/reader.ts'
export type {
  ClassifyOptions,
  ClassifyResult,
  ClassifySource as VideoSource,
} from './model/classify.ts'
export { type Config, configOf, type Size, sizeNames } from './model/config.ts'
export type { ForwardResult } from './model/forward.ts'
export type {
  Answer,
  Class,
  ClassStream as Stream,
  ClassStreamOptions as StreamOptions,
  FrameAnswer,
} from './model/heads/classification.ts'
export type { LoadOptions, ModelSource, RunOptions } from './model/options.ts'
export { type Timing, TRecViT } from './model/trecvit.ts'
export { listing } from './program/listing.ts'
export type { Average, Program } from './program/program.ts'
export type { FrameLike, ImageDataLike } from './stream/input.ts'
export type { SnapshotOptions } from './stream/snapshot.ts'
