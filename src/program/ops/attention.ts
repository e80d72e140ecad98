import type { Tensor } from '../tensor.ts'
import { aligned, headWidth, sharesOf, TILE } from './launch.ts'
import type { Operation } from './operation.ts'

interface Attention {
  readonly inputs: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor }
  readonly params: { readonly heads: number }
}

/**
 * out = softmax(q·kᵀ/√r)·v for each frame and each head of r columns, without a mask. q may have
 * fewer rows than k and v.
 */
export const attention: Operation<Attention, [q: Tensor, k: Tensor, v: Tensor, heads: number]> = {
  inputs: { q: 'b t nq d', k: 'b t n d', v: 'b t n d' },
  params: ['heads'],
  outputs: { out: 'b t nq d' },
  sizes: ({ d, heads }, _, fail) => ({ r: headWidth(d!, heads!, fail) }),
  fields: ['nq', 'n', 'heads', 'r'],
  flops: ({ count, n }) => 4 * count! * n!,
  cpu: {
    fields: ['shares'],
    units(sizes, { threads }) {
      const shares = sharesOf(sizes, threads)
      return { units: sizes.frames! * shares * sizes.heads!, shares }
    },
    scratch({ n, r }) {
      const keyPanels = Math.ceil(n! / 8)
      const valuePanels = Math.ceil(r! / 8)
      return 32 * (keyPanels * r! + valuePanels * n!) + TILE * 32 * (keyPanels + valuePanels)
    },
  },
  gpu: {
    groups: ({ frames, nq, heads, r }) => [
      Math.ceil(nq! / 16),
      heads! * Math.ceil(r! / 64),
      frames!,
    ],
    constants: ({ inputs: { q, k, v }, sizes }) => ({ ALIGNED: aligned([q, k, v], [sizes.r!]) }),
  },
}
