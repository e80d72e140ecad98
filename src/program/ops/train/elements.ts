import type { Tensor } from '../../tensor.ts'
import type { Operation } from '../operation.ts'

interface Add {
  readonly inputs: { readonly a: Tensor; readonly b: Tensor }
}

/** out = a + b. */
export const add: Operation<Add, [a: Tensor, b: Tensor]> = {
  inputs: { a: 'rows n', b: 'rows n' },
  outputs: { out: 'rows n' },
  fields: ['frameRows', 'n'],
}
