import type { Tensor, Weight } from '../tensor.ts'
import { alignedRows, perRow, type Rows } from './launch.ts'
import type { Operation } from './operation.ts'

interface RmsNorm extends Rows {
  readonly weights: { readonly scale: Weight }
}

interface LayerNorm extends Rows {
  readonly weights: { readonly scale: Weight; readonly bias: Weight }
}

/** out = x / √(mean(x²) + 1e-6) · (1 + scale), row by row. */
export const rmsNorm: Operation<RmsNorm, [x: Tensor, scale: string]> = {
  inputs: { x: 'rows d' },
  weights: { scale: 'd' },
  outputs: { out: 'rows d' },
  fields: ['d', 'frameRows'],
  gpu: alignedRows,
}

/** out = (x − mean) / √(variance + 1e-6) · scale + bias, row by row. */
export const layerNorm: Operation<LayerNorm, [x: Tensor, scale: string, bias: string]> = {
  inputs: { x: 'rows d' },
  weights: { scale: 'd', bias: 'd' },
  outputs: { out: 'rows d' },
  fields: ['d', 'frameRows'],
  gpu: alignedRows,
}

/** out = softmax(x), row by row. */
export const softmax: Operation<Rows, [x: Tensor]> = {
  inputs: { x: 'rows d' },
  outputs: { out: 'rows d' },
  fields: ['d', 'frameRows'],
  gpu: { fields: ['rows'], groups: perRow },
}
