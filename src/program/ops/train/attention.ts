import type { Tensor } from '../../tensor.ts'
import { headWidth, spread } from '../launch.ts'
import type { Operation } from '../operation.ts'

interface AttentionGradient {
  readonly inputs: {
    readonly q: Tensor
    readonly k: Tensor
    readonly v: Tensor
    readonly y: Tensor
    readonly dy: Tensor
  }
  readonly outputs: { readonly dq: Tensor; readonly dk: Tensor; readonly dv: Tensor }
  readonly params: { readonly heads: number }
}

/**
 * Rows of q that the CPU kernel processes together (ROWS in assembly/train/attentionGradient.ts).
 */
const ROWS = 30

/**
 * Gradients of attention with the output y, for each frame and each head of r columns. With
 * p = softmax(q·kᵀ/√r) and ds = p ⊙ (dy·vᵀ − Σ dy ⊙ y) / √r, where Σ is the sum of a row:
 * dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dy. p is recomputed.
 */
export const attentionGradient: Operation<
  AttentionGradient,
  [q: Tensor, k: Tensor, v: Tensor, y: Tensor, dy: Tensor, heads: number]
> = {
  inputs: { q: 'b t nq d', k: 'b t n d', v: 'b t n d', y: 'b t nq d', dy: 'b t nq d' },
  params: ['heads'],
  outputs: { dq: 'b t nq d', dk: 'b t n d', dv: 'b t n d' },
  sizes: ({ d, heads }, _, fail) => ({ r: headWidth(d!, heads!, fail) }),
  fields: ['nq', 'n', 'heads', 'r'],
  // Five products. The forward operation has two.
  flops: ({ count, n }) => 10 * count! * n!,
  cpu: {
    units: ({ frames, heads }) => frames! * heads!,
    scratch({ n, r }) {
      const keyPanels = Math.ceil(n! / 8)
      const headPanels = Math.ceil(r! / 8)
      const packed = 32 * (2 * keyPanels * r! + headPanels * n!)
      const sums = 64 * headPanels * n!
      return packed + sums + 64 * ROWS * (headPanels + keyPanels) + 8 * n! * ROWS
    },
  },
  gpu: { fields: ['frames'], groups: ({ frames, heads }) => spread(frames! * heads!) },
}
