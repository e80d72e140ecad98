/**
 * Gradients of rmsNorm (assembly/rmsNorm.ts). With r = √(mean(x²) + 1e-6), x̂ = x / r and
 * q = dy · (1 + scale), row by row:
 *
 *     dx = (q − x̂ · mean(q · x̂)) / r
 *     dscale[i] = Σ dy · x̂            over the rows of part i
 *
 * Shapes: x, dy and dx [rows, d]; scale [d]; dscale [parts, d].
 *
 * Passes: a row is read three times, after the first from the L1 cache: for r, for the mean, and
 * for both gradients. dscale is added to in memory, in the L1 cache too. Loops take two vectors at
 * a time, which V8 merges in the wide builds.
 *
 * A unit of work is a part of `part` rows, so sums do not depend on threads.
 */
import { RmsNormGradientArgs } from '../../build/train/operations'
import { madd, root, sumOf } from '../lib/math'
import { rowAt } from '../lib/rows'
import { sumOfSquares } from '../lib/sums'

export function rmsNormGradient(args: RmsNormGradientArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  for (let unit = begin; unit < end; unit++) {
    const dscale = args.dscale + ((<usize>unit * args.dscaleStride) << 2)
    memory.fill(dscale, 0, bytes)
    const to = min((unit + 1) * args.part, args.rows)
    for (let row = unit * args.part; row < to; row++) {
      const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
      const dy = rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row)
      const dx = args.dx + ((<usize>row * args.dxStride) << 2)
      const rms = root(sumOfSquares(x, bytes, 0) / <f32>args.d + <f32>1e-6)
      const mean = sumOfProducts(x, dy, args.scale, bytes) / rms / <f32>args.d
      gradients(dx, dscale, x, dy, args.scale, bytes, rms, mean)
    }
  }
}

/** Σ dy · (1 + scale) · x. */
function sumOfProducts(x: usize, dy: usize, scale: usize, bytes: usize): f32 {
  const pairs = bytes & ~31
  const one = f32x4.splat(1)
  let s0 = f32x4.splat(0),
    s1 = s0
  for (let i: usize = 0; i < pairs; i += 32) {
    const q0 = f32x4.mul(v128.load(dy + i), f32x4.add(one, v128.load(scale + i))),
      q1 = f32x4.mul(v128.load(dy + i, 16), f32x4.add(one, v128.load(scale + i, 16)))
    ;((s0 = madd(q0, v128.load(x + i), s0)), (s1 = madd(q1, v128.load(x + i, 16), s1)))
  }
  let sum = sumOf(f32x4.add(s0, s1))
  for (let i = pairs; i < bytes; i += 4)
    sum += load<f32>(dy + i) * (1 + load<f32>(scale + i)) * load<f32>(x + i)
  return sum
}

/** dx = (q − x̂ · mean) / rms; dscale += dy · x̂. */
function gradients(
  dx: usize,
  dscale: usize,
  x: usize,
  dy: usize,
  scale: usize,
  bytes: usize,
  rms: f32,
  mean: f32,
): void {
  const pairs = bytes & ~31
  const one = f32x4.splat(1)
  const divisor = f32x4.splat(rms)
  const means = f32x4.splat(mean)
  for (let i: usize = 0; i < pairs; i += 32) {
    const x0 = f32x4.div(v128.load(x + i), divisor),
      x1 = f32x4.div(v128.load(x + i, 16), divisor)
    const y0 = v128.load(dy + i),
      y1 = v128.load(dy + i, 16)
    const q0 = f32x4.mul(y0, f32x4.add(one, v128.load(scale + i))),
      q1 = f32x4.mul(y1, f32x4.add(one, v128.load(scale + i, 16)))
    const p0 = f32x4.div(f32x4.sub(q0, f32x4.mul(x0, means)), divisor),
      p1 = f32x4.div(f32x4.sub(q1, f32x4.mul(x1, means)), divisor)
    const s0 = madd(y0, x0, v128.load(dscale + i)),
      s1 = madd(y1, x1, v128.load(dscale + i, 16))
    ;(v128.store(dx + i, p1, 16), v128.store(dx + i, p0))
    ;(v128.store(dscale + i, s1, 16), v128.store(dscale + i, s0))
  }
  for (let i = pairs; i < bytes; i += 4) {
    const normalised = load<f32>(x + i) / rms
    const y = load<f32>(dy + i)
    store<f32>(dx + i, (y * (1 + load<f32>(scale + i)) - normalised * mean) / rms)
    store<f32>(dscale + i, load<f32>(dscale + i) + y * normalised)
  }
}
