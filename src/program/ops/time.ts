import type { AverageKind, State, Tensor, Weight } from '../tensor.ts'
import { headWidth, quads } from './launch.ts'
import type { Operation, Sizes } from './operation.ts'

interface Conv1d {
  readonly inputs: { readonly x: Tensor }
  readonly weights: { readonly kernel: Weight; readonly bias: Weight }
  readonly states: { readonly past: State }
}

interface RgLru {
  readonly inputs: { readonly v: Tensor; readonly gates: Tensor; readonly y: Tensor }
  readonly weights: { readonly decay: Weight }
  readonly states: { readonly s: State }
  readonly params: { readonly heads: number }
}

interface Average {
  readonly inputs: { readonly x: Tensor }
  readonly states: { readonly past: State }
  readonly params: { readonly over: AverageKind }
}

/** One unit of work for each token of each video. */
const perToken = { units: ({ b, n }: Sizes): number => b! * n! }

/**
 * out[t] = bias + Σ_j kernel[k−1−j] ⊙ x[t−j]: causal depthwise convolution over time. The state
 * `past` contains the k−1 inputs before the chunk, oldest first.
 */
export const conv1d: Operation<Conv1d, [x: Tensor, kernel: string, bias: string]> = {
  inputs: { x: 'b t n e' },
  weights: { kernel: 'k e', bias: 'e' },
  states: { past: 'b history n e' },
  outputs: { out: 'b t n e' },
  sizes: ({ b, n, e, k }) => ({ history: k! - 1, count: b! * n! * e!, kernelStride: quads(e!) }),
  fields: ['t', 'n', 'e', 'k'],
  flops: ({ rows, e, k }) => 2 * rows! * e! * k!,
  cpu: perToken,
  gpu: { fields: ['kernelStride'] },
}

/**
 * s[t] = a ⊙ s[t−1] + √(1−a²) ⊙ γ ⊙ v[t] with a = exp(decay ⊙ ρ). On the first frame after a reset
 * s = γ ⊙ v. out = s ⊙ y. γ and ρ are the sigmoids of the gates [heads, 2, e/heads]:
 * index 0 of the second axis is γ, index 1 is ρ.
 */
export const rgLru: Operation<
  RgLru,
  [v: Tensor, gates: Tensor, y: Tensor, decay: string, heads: number]
> = {
  inputs: { v: 'b t n e', gates: 'b t n 2·e', y: 'b t n e' },
  weights: { decay: 'e' },
  states: { s: 'b n e' },
  params: ['heads'],
  outputs: { out: 'b t n e' },
  sizes({ b, n, e, heads }, _, fail) {
    headWidth(e!, heads!, fail)
    return { count: b! * n! * e! }
  },
  fields: ['t', 'n', 'e', 'heads'],
  cpu: { ...perToken, also: 'frame == 0', scratch: ({ e, heads }) => (8 * e!) / heads! },
}

/** Values of `mode` in both kernels. */
const modes: Record<AverageKind, number> = { all: 0, window: 1, halfLife: 2 }

/**
 * out[b, t] = mean of x[b] over the frames since the reset: all frames, the last `frames` ones, or
 * all with weights 2^(−age/halfLife). Each stream sets `frames` and `halfLife`. The state `past`
 * contains a sum and its rounding error (all), a sum and the sum of its weights (half-life), or a
 * ring of the last frames, whose length each stream sets.
 */
export const average: Operation<Average, [x: Tensor, over: AverageKind]> = {
  inputs: { x: 'b t 1 c' },
  states: { past: 'b slots c' },
  params: ['over'],
  outputs: { out: 'b t 1 c' },
  kind: ({ over }) => (over === 'window' ? { ring: true } : { sum: true }),
  sizes: ({ b, c }, { params: { over } }) => ({
    slots: over === 'window' ? 1 : 2,
    mode: modes[over],
    count: b! * c!,
    zero: 0,
  }),
  fields: ['mode', 't', 'c'],
  cpu: { also: 'frame, averageFrames', units: ({ b }) => b! },
  gpu: { fields: ['zero'], constants: ({ sizes }) => ({ MODE: sizes.mode! }) },
}
