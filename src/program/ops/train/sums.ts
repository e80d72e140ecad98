import type { Tensor } from '../../tensor.ts'
import { perRow } from '../launch.ts'
import type { Operation } from '../operation.ts'

interface Sum {
  readonly inputs: { readonly x: Tensor }
}

interface Norm {
  readonly inputs: { readonly x: Tensor; readonly add?: Tensor }
}

/** Columns per unit of work (STRIP in assembly/train/sumRows.ts). */
const STRIP = 16

/** out = the sum of all rows of x: the gradient of a bias, or of parts of a gradient. */
export const sumRows: Operation<Sum, [x: Tensor]> = {
  inputs: { x: 'rows d' },
  outputs: { out: '1 d' },
  fields: ['d', 'rows', 'frameRows'],
  cpu: { units: ({ d }) => Math.ceil(d! / STRIP) },
}

/**
 * out = the sum of all frames of x, token by token. It is the gradient of the rows that linear adds
 * to the tokens of each frame: position embeddings and the class token.
 */
export const sumFrames: Operation<Sum, [x: Tensor]> = {
  inputs: { x: 'b t n d' },
  outputs: { out: 'n d' },
  sizes: ({ b, t }) => ({ frames: b! * t! }),
  fields: ['d', 'frames'],
  cpu: { units: ({ n }) => n! },
}

/** out[i] = √(Σ_j x[i, j]²): the norm of each row, without overflow of the squares. */
export const rowNorms: Operation<Sum, [x: Tensor]> = {
  inputs: { x: 'rows d' },
  outputs: { out: 'rows 1' },
  fields: ['d', 'frameRows'],
  gpu: { fields: ['rows'], groups: perRow },
}

/**
 * out = √(add² + Σ x²) over all elements of x, without overflow of the squares. One thread computes
 * it. For a large x, take the norm of its `rowNorms`. `add` is the norm of other gradients, 0 by
 * default.
 */
export const norm: Operation<Norm, [x: Tensor, options?: Pick<Norm['inputs'], 'add'>]> = {
  inputs: { x: 'rows d', add: '1 1?' },
  outputs: { out: '1 1' },
  sizes: (_, { inputs }) => ({ added: +!!inputs.add }),
  fields: ['d', 'rows', 'frameRows'],
  cpu: { units: () => 1 },
  gpu: { fields: ['added'], groups: () => [1, 1, 1] },
}
