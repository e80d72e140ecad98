import type { Tensor, Weight } from '../../tensor.ts'
import { spread } from '../launch.ts'
import type { Operation } from '../operation.ts'

interface NormGradient {
  readonly inputs: { readonly x: Tensor; readonly dy: Tensor }
  readonly outputs: { readonly dx: Tensor; readonly dscale: Tensor }
  readonly weights: { readonly scale: Weight }
}

/** Rows of a partial sum. Independent of the number of threads, so results are, too. */
const PART = 64

/** Both have the same tensors. */
const gradient: Operation<NormGradient, [x: Tensor, dy: Tensor, scale: string]> = {
  inputs: { x: 'rows d', dy: 'rows d' },
  weights: { scale: 'd' },
  outputs: { dx: 'rows d', dscale: 'parts d' },
  sizes: ({ rows }) => ({ parts: Math.ceil(rows! / PART), part: PART }),
  fields: ['d', 'rows', 'frameRows', 'part'],
  cpu: { units: ({ parts }) => parts! },
  gpu: { fields: ['parts'], groups: ({ parts }) => spread(parts!) },
}

/**
 * Gradients of rmsNorm. With x̂ = x / √(mean(x²) + 1e-6) and q = dy · (1 + scale), row by row:
 * dx = (q − x̂ · mean(q · x̂)) / √(mean(x²) + 1e-6). dscale[i] = Σ dy · x̂ over rows 64·i to
 * 64·i + 63. The gradient of scale is the sum of the rows of dscale.
 */
export const rmsNormGradient: Operation<NormGradient, [x: Tensor, dy: Tensor, scale: string]> = {
  ...gradient,
}

/**
 * Gradients of layerNorm. With x̂ = (x − mean) / √(variance + 1e-6) and q = dy · scale, row by row:
 * dx = (q − mean(q) − x̂ · mean(q · x̂)) / √(variance + 1e-6). dscale[i] = Σ dy · x̂ over rows 64·i
 * to 64·i + 63. The gradient of scale is the sum of the rows of dscale, that of the bias the sum of
 * the rows of dy.
 */
export const layerNormGradient: Operation<NormGradient, [x: Tensor, dy: Tensor, scale: string]> = {
  ...gradient,
}
