import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'

interface PoolGradient {
  readonly inputs: { readonly dy: Tensor }
  readonly outputs: { readonly dx: Tensor }
  readonly params: { readonly n: number; readonly pooled: number }
}

/**
 * Gradient of the mean over the first `pooled` of n tokens: dx[b, t, i] = dy[b, t] / pooled for
 * i < pooled, else 0. With pooled = n it is the gradient of pool, with pooled = 1 that of selecting
 * the class token.
 */
export const poolGradient: Operation<PoolGradient, [dy: Tensor, n: number, pooled: number]> = {
  inputs: { dy: 'b t 1 d' },
  params: ['n', 'pooled'],
  outputs: { dx: 'b t n d' },
  sizes({ n, pooled }, _, fail) {
    if (!(pooled! >= 1 && pooled! <= n!)) fail(`1 to ${n} pooled tokens, got ${pooled}`)
    return {}
  },
  fields: ['n', 'd', 'pooled'],
  cpu: { units: ({ frames }) => frames! },
}
