import type { Tensor, Weight } from '../../tensor.ts'
import { headWidth } from '../launch.ts'
import type { Operation, Sizes } from '../operation.ts'

interface RgLruGradient {
  readonly inputs: {
    readonly v: Tensor
    readonly gates: Tensor
    readonly y: Tensor
    readonly dout: Tensor
    readonly carried?: Tensor
  }
  readonly outputs: { readonly dinputs: Tensor; readonly dcarried: Tensor }
  readonly weights: { readonly decay: Weight }
  readonly params: { readonly heads: number; readonly first: boolean }
}

/** A unit of work for each token of each video. */
const perToken = { units: ({ b, n }: Sizes): number => b! * n! }

/**
 * Gradients of rgLru, in columns of two tensors. dinputs = [dgates, dv, dy], with dgates as gates.
 * dcarried = [ds, ddecay]: ds is the gradient of the state before the chunk, and the gradient of
 * decay is the sum of the rows of ddecay. The derivative of √(1 − a²) is at most 1000.
 *
 * `first` says that the chunk is the first of a clip. `carried` = [s, ds] has the state before the
 * chunk, which the first chunk ignores, and the gradient of the state after it. Both are 0 by
 * default.
 */
export const rgLruGradient: Operation<
  RgLruGradient,
  [
    v: Tensor,
    gates: Tensor,
    y: Tensor,
    dout: Tensor,
    decay: string,
    heads: number,
    first: boolean,
    options?: { readonly carried?: Tensor },
  ]
> = {
  inputs: {
    v: 'b t n e',
    gates: 'b t n 2·e',
    y: 'b t n e',
    dout: 'b t n e',
    carried: 'b n 2·e?',
  },
  weights: { decay: 'e' },
  params: ['heads', 'first'],
  outputs: { dinputs: 'b t n 4·e', dcarried: 'b n 2·e' },
  sizes({ b, n, e, heads }, { inputs: { carried }, params: { first } }, fail) {
    headWidth(e!, heads!, fail)
    return { count: b! * n! * e!, first: +first, carries: +!!carried }
  },
  fields: ['t', 'n', 'e', 'heads', 'first'],
  cpu: { ...perToken, scratch: ({ e, heads }) => (20 * e!) / heads! },
  gpu: { fields: ['carries'] },
}
