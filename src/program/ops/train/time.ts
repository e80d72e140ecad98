import type { Tensor, Weight } from '../../tensor.ts'
import { headWidth, quads } from '../launch.ts'
import type { Operation, Sizes } from '../operation.ts'

interface Conv1dInputs {
  readonly x: Tensor
  readonly dy: Tensor
  readonly past?: Tensor
  readonly dnext?: Tensor
}

interface Conv1dGradient {
  readonly inputs: Conv1dInputs
  readonly outputs: { readonly dx: Tensor; readonly dkernel: Tensor; readonly dpast: Tensor }
  readonly weights: { readonly kernel: Weight }
}

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

interface DecayGradient {
  readonly inputs: { readonly ddecay: Tensor }
  readonly weights: { readonly a: Weight }
}

interface AverageGradient {
  readonly inputs: { readonly dy: Tensor }
  readonly outputs: { readonly dx: Tensor }
}

/** Tokens of a partial sum of the kernel's gradient. A partial sum is one unit of work. */
const PART = 8

/**
 * Gradients of conv1d. With y[t] = bias + Σ_j kernel[k−1−j] ⊙ x[t−j] and the k−1 inputs `past`
 * before the chunk: dx[s] = Σ_j kernel[k−1−j] ⊙ dy[s+j] within the chunk. For s < 0 this is dpast.
 * dkernel[i] is partial sum i of the gradient [k, e] of the kernel, in k·e columns. The gradient of
 * the kernel is the sum of its rows, and that of the bias the sum of the rows of dy.
 *
 * `dnext` is the gradient of the last k−1 inputs, which are the past of the next chunk. It is added
 * to dx and dpast. `past` and `dnext` are 0 by default.
 */
export const conv1dGradient: Operation<
  Conv1dGradient,
  [x: Tensor, dy: Tensor, kernel: string, options?: Pick<Conv1dInputs, 'past' | 'dnext'>]
> = {
  inputs: {
    x: 'b t n e',
    dy: 'b t n e',
    past: 'b history n e?',
    dnext: 'b history n e?',
  },
  weights: { kernel: 'k e' },
  outputs: { dx: 'b t n e', dkernel: 'parts k·e', dpast: 'b history n e' },
  sizes({ b, n, e, k, history = k! - 1 }, { inputs: { past, dnext } }, fail) {
    if (k! < 2 || history !== k! - 1) fail(`a past of ${k! - 1} frames, got ${history}`)
    const parts = Math.ceil((b! * n!) / PART)
    return {
      ...{
        history,
        parts,
        part: PART,
        sequences: b! * n!,
        count: parts * e!,
        kernelStride: quads(e!),
      },
      ...{ hasPast: +!!past, hasNext: +!!dnext },
    }
  },
  fields: ['t', 'n', 'e', 'k', 'part', 'sequences'],
  cpu: { units: ({ parts }) => parts! },
  gpu: { fields: ['kernelStride', 'hasPast', 'hasNext'] },
}

/** One unit of work for each token of each video. */
const perToken = { units: ({ b, n }: Sizes): number => b! * n! }

/**
 * Gradients of rgLru, as columns of two tensors. dinputs = [dgates, dv, dy]; dgates has the order
 * of the gates. dcarried = [ds, ddecay]: ds is the gradient of the state before the chunk. The
 * gradient of decay is the sum of the rows of ddecay. The derivative of √(1 − a²) is limited to
 * 1000.
 *
 * `first`: whether the chunk is the first of a clip. `carried` = [s, ds]: s is the state before the
 * chunk, which the first chunk ignores; ds is the gradient of the state after the chunk. Both are 0
 * by default.
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

/** Gradient of a in decay = −8·softplus(a), which rgLru reads: out = −8·σ(a) ⊙ ddecay. */
export const decayGradient: Operation<DecayGradient, [ddecay: Tensor, a: string]> = {
  inputs: { ddecay: '1 e' },
  weights: { a: 'e' },
  outputs: { out: '1 e' },
  fields: ['e'],
}

/**
 * Gradient of average over all frames, for the first chunk of a clip:
 * dx[s] = Σ_{t≥s} dy[t] / (t + 1).
 */
export const averageGradient: Operation<AverageGradient, [dy: Tensor]> = {
  inputs: { dy: 'b t 1 c' },
  outputs: { dx: 'b t 1 c' },
  sizes: ({ b, c }) => ({ count: b! * c! }),
  fields: ['t', 'c'],
  cpu: { units: ({ b }) => b! },
}
