import { alignedRows, type Rows } from './launch.ts'
import type { Operation } from './operation.ts'

/**
 * Rows as packed integers and their scales, for products with int8 kernels. No program has such a
 * step: a GPU adds it before these products (backend/webgpu/int8.ts).
 */
export const quantize: Operation<Rows, []> = {
  inputs: { x: 'rows d' },
  outputs: { out: 'rows words' },
  fields: ['d', 'frameRows'],
  gpu: alignedRows,
}
