/**
 * Root-mean-square normalisation of each row:
 *
 *     out = x / √(mean(x²) + 1e-6) · (1 + scale)
 *
 * Shapes: x and out [rows, d]; scale [d].
 *
 * Passes: a row is read twice, the second time from the L1 cache. The loop takes two vectors at a
 * time, which V8 merges in the wide builds.
 *
 * A unit of work is a row.
 */
import { RmsNormArgs } from '../build/operations'
import { root } from './lib/math'
import { rowAt } from './lib/rows'
import { sumOfSquares } from './lib/sums'

export function rmsNorm(args: RmsNormArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  const pairs = bytes & ~31
  const one = f32x4.splat(1)
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const rms = root(sumOfSquares(x, bytes, 0) / <f32>args.d + <f32>1e-6)
    const divisor = f32x4.splat(rms)
    for (let i: usize = 0; i < pairs; i += 32) {
      const p0 = f32x4.mul(
        f32x4.div(v128.load(x + i), divisor),
        f32x4.add(one, v128.load(args.scale + i)),
      )
      const p1 = f32x4.mul(
        f32x4.div(v128.load(x + i, 16), divisor),
        f32x4.add(one, v128.load(args.scale + i, 16)),
      )
      ;(v128.store(out + i, p1, 16), v128.store(out + i, p0))
    }
    for (let i = pairs; i < bytes; i += 4)
      store<f32>(out + i, (load<f32>(x + i) / rms) * (1 + load<f32>(args.scale + i)))
  }
}
