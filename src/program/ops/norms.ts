import type { Tensor, Weight } from '../tensor.ts'
import { aligned, perRow } from './launch.ts'
import type { Operation, StepWith } from './operation.ts'

interface Rows {
  readonly inputs: { readonly x: Tensor }
}

interface RmsNorm extends Rows {
  readonly weights: { readonly scale: Weight }
}

interface LayerNorm extends Rows {
  readonly weights: { readonly scale: Weight; readonly bias: Weight }
}

const alignedRows = {
  fields: ['rows'],
  groups: perRow,
  constants: ({ inputs: { x }, sizes }: StepWith<Rows>) => ({ ALIGNED: aligned([x], [sizes.d!]) }),
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
