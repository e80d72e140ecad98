import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'

interface Add {
  readonly inputs: { readonly a: Tensor; readonly b: Tensor }
}

interface Concatenate {
  readonly inputs: { readonly a: Tensor; readonly b: Tensor; readonly c?: Tensor }
}

/** out = a + b. */
export const add: Operation<Add, [a: Tensor, b: Tensor]> = {
  inputs: { a: 'rows n', b: 'rows n' },
  outputs: { out: 'rows n' },
  fields: ['frameRows', 'n'],
}

/** out = the columns of a, then those of b, then those of c. */
export const concatenate: Operation<
  Concatenate,
  [a: Tensor, b: Tensor, options?: { readonly c?: Tensor }]
> = {
  inputs: { a: 'rows na', b: 'rows nb', c: 'rows nc?' },
  outputs: { out: 'rows n' },
  sizes: ({ na, nb, nc = 0 }) => ({ nc, n: na! + nb! + nc }),
  fields: ['frameRows', 'n', 'na', 'nb', 'nc'],
}
