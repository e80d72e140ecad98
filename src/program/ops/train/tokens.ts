import type { Tensor, Weight } from '../../tensor.ts'
import { perRow } from '../launch.ts'
import type { Operation } from '../operation.ts'

interface PoolGradient {
  readonly inputs: { readonly dy: Tensor }
  readonly outputs: { readonly dx: Tensor }
  readonly params: { readonly n: number; readonly pooled: number }
}

interface Gather {
  readonly inputs: { readonly x: Tensor; readonly index: Tensor }
}

interface Scatter extends Gather {
  readonly weights: { readonly token?: Weight }
  readonly params: { readonly n: number }
}

/**
 * Gradient of the mean over the first `pooled` of n tokens: dx[b, t, i] = dy[b, t] / pooled for
 * i < pooled, else 0. With pooled = n it is the gradient of pool, with pooled = 1 that of selecting
 * the class token.
 */
export const poolGradient: Operation<PoolGradient, [dy: Tensor, n: number, pooled: number]> = {
  inputs: { dy: 'videos times 1 d' },
  params: ['n', 'pooled'],
  outputs: { dx: 'videos times n d' },
  sizes({ n, pooled }, _, fail) {
    if (!(pooled! >= 1 && pooled! <= n!)) fail(`1 to ${n} pooled tokens, got ${pooled}`)
    return {}
  },
  fields: ['n', 'd', 'pooled'],
  cpu: { units: ({ frames }) => frames! },
}

/**
 * out[b, t, i] = x[b, t, index[b, i]]: some tokens of each frame. `index` holds integers as
 * float32. They are limited to 0..n−1. If none occurs twice, the gradient of x is scatter without a
 * token.
 */
export const gather: Operation<Gather, [x: Tensor, index: Tensor]> = {
  inputs: { x: 'b t n d', index: 'b v' },
  outputs: { out: 'b t v d' },
  fields: ['t', 'n', 'd', 'v'],
}

/**
 * out[b, t, index[b, i]] = x[b, t, i]; all other tokens of a frame are `token`, by default 0.
 * `index` holds integers as in gather. If one occurs twice, the last one counts; if none does, the
 * gradient of x is gather. The gradient of `token` is the sum of dy over the tokens it fills.
 */
export const scatter: Operation<
  Scatter,
  [x: Tensor, index: Tensor, n: number, options?: { readonly token?: string }]
> = {
  inputs: { x: 'b t v d', index: 'b v' },
  weights: { token: 'd?' },
  params: ['n'],
  outputs: { out: 'b t n d' },
  sizes({ n, v }, { weights: { token } }, fail) {
    if (!Number.isInteger(n) || n! < v!)
      fail(`n to be an integer from ${v} on, the tokens of x, got ${n}`)
    return { hasToken: +!!token }
  },
  fields: ['t', 'n', 'd', 'v'],
  cpu: { units: ({ frames }) => frames! },
  gpu: { fields: ['rows', 'hasToken'], groups: perRow },
}
