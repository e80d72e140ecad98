/**
 * Layer normalisation of each row:
 *
 *     out = (x − μ) / √(σ² + 1e-6) · scale + bias
 *
 * μ is the mean of the row, σ² its (biased) variance.
 *
 * Shapes: x and out [rows, d]; scale and bias [d].
 *
 * Passes: μ first, then σ², because E[x²] − μ² loses its digits when |μ| ≫ σ. A row stays in the L1
 * cache. The loop takes two vectors at a time, which V8 merges in the wide builds.
 *
 * A unit of work is a row.
 */
import { LayerNormArgs } from '../build/operations'
import { root } from './lib/math'
import { rowAt } from './lib/rows'
import { sumOfRow, sumOfSquares } from './lib/sums'

export function layerNorm(args: LayerNormArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const pairs = bytes & ~31
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const mean = sumOfRow(x, bytes) / <f32>args.d
    const deviation = root(sumOfSquares(x, bytes, mean) / <f32>args.d + <f32>1e-6)
    const means = f32x4.splat(mean)
    const divisor = f32x4.splat(deviation)
    for (let i: usize = 0; i < pairs; i += 32) {
      const v0 = f32x4.div(f32x4.sub(v128.load(x + i), means), divisor),
        v1 = f32x4.div(f32x4.sub(v128.load(x + i, 16), means), divisor)
      const p0 = f32x4.add(f32x4.mul(v0, v128.load(args.scale + i)), v128.load(args.bias + i)),
        p1 = f32x4.add(f32x4.mul(v1, v128.load(args.scale + i, 16)), v128.load(args.bias + i, 16))
      ;(v128.store(out + i, p1, 16), v128.store(out + i, p0))
    }
    for (let i = pairs; i < bytes; i += 4) {
      store<f32>(
        out + i,
        ((load<f32>(x + i) - mean) / deviation) * load<f32>(args.scale + i) +
          load<f32>(args.bias + i),
      )
    }
  }
}
