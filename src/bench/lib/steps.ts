import { flopsOf } from '../../program/listing.ts'
import {
  columnsOf,
  inputsOf,
  outputsOf,
  rowsOf,
  type Step,
  sizeOf,
  statesOf,
  type Tensor,
  weightsOf,
} from '../../program/program.ts'

/**
 * Returns the kind of a step, independent of its layer: the operation, for products with the name
 * of the matrix.
 */
export function kindOf(step: Step): string {
  if (step.op !== 'linear') return step.op
  return `linear ${step.weights.kernel.name
    .replace(/\/kernel$/, '')
    .split('/')
    .pop()}`
}

/**
 * Returns the approximate number of operations of a step: those of products, and for each element
 * of the first output those of the formula. A root or an exponential counts as one. A copy has
 * none.
 */
export function arithmeticOf(step: Step): number {
  const elements = sizeOf(outputsOf(step)[0]!.shape)
  switch (step.op) {
    case 'rmsNorm':
      return 4 * elements
    case 'layerNorm':
      return 8 * elements
    case 'rgLru':
      return 18 * elements
    case 'pool':
      return sizeOf(step.inputs.x.shape)
    case 'average':
      return 3 * elements
    case 'softmax':
      return 4 * elements
    default:
      return flopsOf(step)
  }
}

/** Returns the bytes that a step must read and write at least. */
export function trafficOf(step: Step): number {
  const tensor = (x: Tensor) => rowsOf(x) * columnsOf(x) * (x.buffer.dtype === 'u8' ? 1 : 4)
  return (
    [...inputsOf(step), ...outputsOf(step)].reduce((sum, x) => sum + tensor(x), 0) +
    weightsOf(step).reduce(
      (sum, { kind, blocks, rows, columns }) =>
        sum + (kind === 'int8' ? 1 : 4) * blocks * rows * columns,
      0,
    ) +
    statesOf(step).reduce((sum, { shape }) => sum + 8 * sizeOf(shape), 0)
  )
}
