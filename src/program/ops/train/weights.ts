import type { Weight } from '../../tensor.ts'
import type { Fail, Operation } from '../operation.ts'

interface WeightValues {
  readonly inputs: Readonly<Record<never, never>>
  readonly weights: { readonly weight: Weight }
}

/**
 * out[q·k + i, j] = weight[q, i, j]: the values of a weight, row-major, whatever its layout. A
 * program returns trained weights with it.
 */
export const weightValues: Operation<WeightValues, [weight: string]> = {
  inputs: {},
  weights: { weight: 'blocks k n' },
  outputs: { out: 'blocks·k n' },
  sizes: (_, { weights: { weight } }, fail) => ({ matrix: isMatrix(weight, fail) }),
  fields: ['k', 'n', 'matrix'],
}

/** Returns 1 for a matrix, which is stored in panels on the CPU, and 0 for rows. */
function isMatrix({ name, kind }: Weight, fail: Fail): number {
  if (kind === 'int8') fail(`a float32 weight, got the int8 matrix "${name}"`)
  return +(kind === 'matrix')
}
