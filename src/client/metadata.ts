import type { Datatype } from './tensors.ts'

/** A model as its server describes it. */
export interface ModelMetadata {
  /** Name of the model. */
  readonly name: string
  /** What runs it, like "trecvit". */
  readonly platform: string
  /** Versions that the server has, if it tells them. */
  readonly versions?: readonly string[]
  /** Inputs of the model. */
  readonly inputs: readonly TensorMetadata[]
  /** Outputs of the model. */
  readonly outputs: readonly TensorMetadata[]
}

/** An input or output of a model. */
export interface TensorMetadata {
  /** Name of the tensor. */
  readonly name: string
  /** Number format of its values. */
  readonly datatype: Datatype
  /** Sizes of the axes; -1 for any. */
  readonly shape: readonly number[]
}
