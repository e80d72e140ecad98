import type { MatrixDType } from '../backend.ts'
import type { Submits } from './submits.ts'

/** A device with the weights of a model on it: what replays and states share. */
export interface Resources {
  readonly device: GPUDevice
  readonly submits: Submits
  /** Number format of the matrices among the weights. */
  readonly dtype: MatrixDType
  /** Buffer of each weight by name. */
  readonly weights: ReadonlyMap<string, GPUBuffer>
  /** What is bound where a step has no such input. */
  readonly none: GPUBuffer
}
