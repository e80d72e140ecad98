import type { MatrixDType } from '../backend.ts'
import type { Matrices } from './matrix.ts'
import type { Pipelines } from './pipelines.ts'
import type { Streams } from './streams.ts'
import type { Submits } from './submits.ts'
import type { WeightBuffers } from './weightBuffers.ts'

/** A device with the weights of a model on it, shared by replays and states. */
export interface Resources {
  readonly device: GPUDevice
  readonly pipelines: Pipelines
  readonly submits: Submits
  readonly streams: Streams
  /** Set if there are int8 matrices. */
  readonly int8: typeof import('./int8.ts') | undefined
  readonly fusions: typeof import('./fusions.ts')
  /** Set if matrix units are used. */
  readonly matrices: Matrices | undefined
  /** Number format of the matrices among the weights. */
  readonly dtype: MatrixDType
  readonly weights: WeightBuffers
}
