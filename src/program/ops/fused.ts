/**
 * Operations that a GPU computes in place of several steps. No program names them:
 * backend/webgpu/fusions.ts adds their steps.
 */
import type { State, Tensor, Weight } from '../tensor.ts'
import type { Operation } from './operation.ts'

interface Recurrence {
  readonly inputs: { readonly z: Tensor }
  readonly weights: Readonly<Record<'taps' | 'bias' | 'kernel' | 'kernelBias' | 'decay', Weight>>
  readonly states: { readonly past: State; readonly s: State }
}

/** conv1d, the gates (blockLinear) and rgLru of one frame. y has the rows of z from yOffset on. */
export const recurrence: Operation<Recurrence, []> = {
  inputs: { z: 'b t n e' },
  weights: { taps: 'k e', bias: 'e', kernel: 'heads w 2·w', kernelBias: '2·w', decay: 'e' },
  states: { past: 'b history n e', s: 'b n e' },
  outputs: { out: 'b t n e' },
  fields: ['rows', 'n', 'e', 'k', 'heads', 'yOffset'],
  gpu: { groups: ({ rows, heads }) => [Math.ceil(rows! / 16), heads!, 1] },
}
