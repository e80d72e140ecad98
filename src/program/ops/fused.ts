/**
 * Operations that a GPU computes in place of several steps. No program names them:
 * backend/webgpu/fusions.ts adds their steps.
 */
import type { State, Tensor, Weight } from '../tensor.ts'
import { alignedRows, type Rows, tileOf, tiles } from './launch.ts'
import type { Operation } from './operation.ts'

interface NormLinear {
  readonly inputs: { readonly x: Tensor }
  readonly weights: {
    readonly kernel: Weight
    readonly bias?: Weight
    readonly scale: Weight
    readonly shift?: Weight
  }
}

interface NormQuantize extends Rows {
  readonly weights: { readonly scale: Weight; readonly shift?: Weight }
}

interface Recurrence {
  readonly inputs: { readonly z: Tensor }
  readonly weights: Readonly<
    Record<'taps' | 'bias' | 'kernel' | 'kernelBias' | 'decay', Weight>
  > & {
    readonly scales?: Weight
  }
  readonly states: { readonly past: State; readonly s: State }
}

/**
 * conv1d, the gates (blockLinear) and rgLru of one frame. y has the rows of z from yOffset on. If
 * the kernel of the gates is int8, the blocks of v are quantised, too.
 */
export const recurrence: Operation<Recurrence, []> = {
  inputs: { z: 'b t n e' },
  weights: { taps: 'k e', bias: 'e', kernel: 'heads w 2·w', kernelBias: '2·w', decay: 'e' },
  states: { past: 'b history n e', s: 'b n e' },
  outputs: { out: 'b t n e' },
  fields: ['rows', 'n', 'e', 'k', 'heads', 'yOffset'],
  flops: ({ rows, e, k, heads }) => 2 * rows! * e! * (k! + (2 * e!) / heads!),
  gpu: { groups: ({ rows, heads }) => [Math.ceil(rows! / 16), heads!, 1] },
}

/**
 * rmsNorm or layerNorm (`centred`), then linear. Each row of x ends with the moments that linear
 * stores.
 */
export const normLinear: Operation<NormLinear, []> = {
  inputs: { x: 'rows k' },
  weights: { kernel: '1 k n', bias: 'n?', scale: 'k', shift: 'k?' },
  outputs: { out: 'rows n' },
  fields: ['frameRows', 'rows', 'k', 'n', 'activation', 'activated', 'biased'],
  flops: ({ rows, k, n }) => 2 * rows! * k! * n!,
  gpu: {
    groups: tiles,
    constants: ({ sizes }, room) => ({ ...tileOf(sizes, room), CENTRED: sizes.centred! }),
  },
}

/** rmsNorm or layerNorm (`centred`), then quantize. */
export const normQuantize: Operation<NormQuantize, []> = {
  inputs: { x: 'rows d' },
  weights: { scale: 'd', shift: 'd?' },
  outputs: { out: 'rows words' },
  fields: ['d', 'frameRows'],
  gpu: {
    ...alignedRows,
    constants: (step, room) => ({
      ...alignedRows.constants!(step, room),
      CENTRED: step.sizes.centred!,
    }),
  },
}
