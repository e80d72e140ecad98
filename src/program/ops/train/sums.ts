import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'

interface SumRows {
  readonly inputs: { readonly x: Tensor }
}

/** Columns of a unit of work (STRIP in assembly/train/sumRows.ts). */
const STRIP = 16

/** out = the sum of all rows of x: the gradient of a bias, or of parts of a gradient. */
export const sumRows: Operation<SumRows, [x: Tensor]> = {
  inputs: { x: 'rows d' },
  outputs: { out: '1 d' },
  fields: ['d', 'rows', 'frameRows'],
  cpu: { units: ({ d }) => Math.ceil(d! / STRIP) },
}
