import type * as operations from '../program/ops/train/index.ts'
import { type Methods, Recorder } from '../program/record.ts'
import { TRAINING_OPS } from './operations.ts'

/** A recorder that also has the methods of the operations of training. */
export interface TrainingRecorder extends Methods<typeof operations> {}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the static block defines the methods
export class TrainingRecorder extends Recorder {
  static {
    TrainingRecorder.define(TrainingRecorder.prototype, TRAINING_OPS)
  }
}
