/**
 * TRecViT in WebAssembly and WebGPU: load a model, classify videos, run streams.
 * @module trecvit
 * @example
 * import { TRecViT } from 'trecvit'
 * const model = await TRecViT.load('builtin')
 * const { top } = await model.classify('clip.mp4')
 */

export type { Device, GpuCapabilities, GpuUse, MatrixDType } from './backend/backend.ts'
export type { Health } from './backend/engines.ts'
export type { ModelEvents } from './backend/listeners.ts'
export type { NdArray } from './base/array.ts'
export type { DType } from './base/dtype.ts'
export { TrecvitError } from './base/error.ts'
export type {} from './base/globals.ts'
export { type Checkpoint, openCheckpoint } from './checkpoint/checkpoint.ts'
export type { SourceLike as CheckpointSource } from './checkpoint/openSource.ts'
export type { TensorInfo } from './checkpoint/reader.ts'
export type { Sink } from './checkpoint/values.ts'
export type { ClassifyOptions, ClassifyResult } from './model/classify.ts'
export type { ClassStream as Stream } from './model/classStream.ts'
export { type Config, configOf, type Size, sizeNames } from './model/config.ts'
export type { EventOptions, VideoEvent } from './model/events.ts'
export type { FeatureStream, FrameFeatures } from './model/features.ts'
export type { ForwardResult, Timing } from './model/forward.ts'
export type {
  Answer,
  Class,
  ClassStreamOptions as StreamOptions,
  FrameAnswer,
} from './model/heads/classification.ts'
export type { LoadOptions, ModelSource, RunOptions } from './model/options.ts'
export type { Segment, TimelineOptions } from './model/timeline.ts'
export { TRecViT } from './model/trecvit.ts'
export { listing } from './program/listing.ts'
export type { Average, Program } from './program/program.ts'
export type { FrameSource as VideoSource } from './stream/frames.ts'
export type { FrameLike } from './stream/input.ts'
export type { SnapshotOptions } from './stream/snapshot.ts'
export type { StateDType } from './stream/snapshotHeader.ts'
export type { PushOptions } from './stream/stream.ts'
export type { ImageDataLike, Picture, VideoFrameLike } from './video/browser/types.ts'
