import type { Tensor, Weight } from '../../tensor.ts'
import { spread } from '../launch.ts'
import type { Fail, Groups, Operation, Sizes } from '../operation.ts'

interface WeightValues {
  readonly inputs: Readonly<Record<never, never>>
  readonly weights: { readonly weight: Weight }
}

interface AdamW {
  readonly inputs: { readonly gradient: Tensor; readonly rates: Tensor; readonly norm: Tensor }
  readonly weights: { readonly value: Weight; readonly m: Weight; readonly v: Weight }
}

interface Blend {
  readonly inputs: { readonly x: Tensor; readonly rates: Tensor; readonly norm: Tensor }
  readonly weights: { readonly value: Weight }
}

/** Columns of a matrix per unit of work in adamW and blend: two panels. */
const STRIP = 16

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

/** One unit of work for two panels of a matrix, or for each row. */
const perStrip = {
  units: ({ blocks, k, n, matrix }: Sizes): number =>
    blocks! * (matrix ? Math.ceil(n! / STRIP) : k!),
}

/** One GPU invocation for each element of a weight. */
const perElement = {
  fields: ['elements'],
  groups: ({ elements }: Sizes): Groups => spread(elements! / 64),
}

/**
 * A step of AdamW: changes a weight and its moments m and v, and returns `norm`. rates = [lr, b1,
 * b2, c1, c2, eps, decay, clip]. With g = gradient · clip / norm if clip > 0 and norm ≥ clip, else
 * g = gradient: m = b1·m + (1 − b1)·g, v = b2·v + (1 − b2)·g²,
 * value = value − lr·(c1·m / (√(c2·v) + eps) + decay·value).
 *
 * In update k, counted from 1, c1 = 1 / (1 − b1^k) and c2 = 1 / (1 − b2^k), with b1 and b2 as
 * rounded to float32. If norm is NaN or infinite, the step changes nothing.
 */
export const adamW: Operation<
  AdamW,
  [gradient: Tensor, rates: Tensor, norm: Tensor, value: string, m: string, v: string]
> = {
  inputs: { gradient: 'blocks·k n', rates: '1 8', norm: '1 1' },
  weights: { value: 'blocks k n', m: 'blocks k n', v: 'blocks k n' },
  writes: ['value', 'm', 'v'],
  outputs: { out: '1 1' },
  sizes({ blocks, k, n }, { weights: { value, m, v } }, fail) {
    const all = [value, m, v]
    if (all.some(({ kind }) => kind !== value.kind)) fail('m and v to have the kind of value')
    if (new Set(all.map(({ name }) => name)).size < 3) fail('value, m and v to differ')
    return { matrix: isMatrix(value, fail), elements: blocks! * k! * n! }
  },
  fields: ['frameRows', 'k', 'n', 'matrix'],
  cpu: perStrip,
  gpu: perElement,
}

/**
 * Changes a weight, and returns `norm`: value = keep·value + share·x with rates = [keep, share]. It
 * computes sums of gradients and averages of weights. With keep = 0 the old value counts for
 * nothing, even if it is NaN. If norm is NaN or infinite, the step changes nothing.
 */
export const blend: Operation<Blend, [x: Tensor, rates: Tensor, norm: Tensor, value: string]> = {
  inputs: { x: 'blocks·k n', rates: '1 2', norm: '1 1' },
  weights: { value: 'blocks k n' },
  writes: ['value'],
  outputs: { out: '1 1' },
  sizes: ({ blocks, k, n }, { weights: { value } }, fail) => ({
    matrix: isMatrix(value, fail),
    elements: blocks! * k! * n!,
  }),
  fields: ['frameRows', 'k', 'n', 'matrix'],
  cpu: perStrip,
  gpu: perElement,
}

/** Returns 1 for a matrix, which is stored in panels on the CPU, and 0 for rows. */
function isMatrix({ name, kind }: Weight, fail: Fail): number {
  if (kind === 'int8') fail(`a float32 weight, got the int8 matrix "${name}"`)
  return +(kind === 'matrix')
}
