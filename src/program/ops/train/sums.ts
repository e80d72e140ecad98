import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'

interface Sum {
  readonly inputs: { readonly x: Tensor }
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
