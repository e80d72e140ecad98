/**
 * Gradients of layerNorm (assembly/layerNorm.ts). With x̂ = (x − μ) / s, s = √(σ² + 1e-6), and
 * q = dy · scale, row by row:
 *
 *     dx = (q − mean(q) − x̂ · mean(q · x̂)) / s
 *     dscale[i] = Σ dy · x̂                        over the rows of part i
 *
 * μ is the mean of the row, σ² its (biased) variance.
 *
 * Shapes: x, dy and dx [rows, d]; scale [d]; dscale [parts, d].
 *
 * Passes: a row is read four times, after the first from the L1 cache: for μ, for σ², for both
 * means, and for both gradients. dscale is added to in memory, in the L1 cache too. Loops take two
 * vectors at a time, which V8 merges in the wide builds.
 *
 * A unit of work is a part of `part` rows, so sums do not depend on threads.
 */
import { LayerNormGradientArgs } from '../../build/train/operations'
import { madd, root, sumOf } from '../lib/math'
import { rowAt } from '../lib/rows'
import { sumOfRow, sumOfSquares } from '../lib/sums'

export function layerNormGradient(args: LayerNormGradientArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  for (let unit = begin; unit < end; unit++) {
    const dscale = args.dscale + ((<usize>unit * args.dscaleStride) << 2)
    memory.fill(dscale, 0, bytes)
    const to = min((unit + 1) * args.part, args.rows)
    for (let row = unit * args.part; row < to; row++) {
      const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
      const dy = rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row)
      const dx = args.dx + ((<usize>row * args.dxStride) << 2)
      gradients(dx, dscale, x, dy, args.scale, bytes, <f32>args.d)
    }
  }
}

/** The gradients of a row. */
function gradients(
  dx: usize,
  dscale: usize,
  x: usize,
  dy: usize,
  scale: usize,
  bytes: usize,
  d: f32,
): void {
  const pairs = bytes & ~31
  const mean = sumOfRow(x, bytes) / d
  const deviation = root(sumOfSquares(x, bytes, mean) / d + <f32>1e-6)
  const means = f32x4.splat(mean)
  let q0 = f32x4.splat(0),
    q1 = q0,
    p0 = q0,
    p1 = q0
  for (let i: usize = 0; i < pairs; i += 32) {
    const y0 = f32x4.mul(v128.load(dy + i), v128.load(scale + i)),
      y1 = f32x4.mul(v128.load(dy + i, 16), v128.load(scale + i, 16))
    ;((q0 = f32x4.add(q0, y0)), (q1 = f32x4.add(q1, y1)))
    ;((p0 = madd(y0, f32x4.sub(v128.load(x + i), means), p0)),
      (p1 = madd(y1, f32x4.sub(v128.load(x + i, 16), means), p1)))
  }
  let sum = sumOf(f32x4.add(q0, q1)),
    products = sumOf(f32x4.add(p0, p1))
  for (let i = pairs; i < bytes; i += 4) {
    const q = load<f32>(dy + i) * load<f32>(scale + i)
    sum += q
    products += q * (load<f32>(x + i) - mean)
  }
  const average = sum / d
  const product = products / deviation / d

  const divisor = f32x4.splat(deviation)
  const averages = f32x4.splat(average)
  const factors = f32x4.splat(product)
  for (let i: usize = 0; i < pairs; i += 32) {
    const x0 = f32x4.div(f32x4.sub(v128.load(x + i), means), divisor),
      x1 = f32x4.div(f32x4.sub(v128.load(x + i, 16), means), divisor)
    const y0 = v128.load(dy + i),
      y1 = v128.load(dy + i, 16)
    const c0 = f32x4.sub(f32x4.mul(y0, v128.load(scale + i)), averages),
      c1 = f32x4.sub(f32x4.mul(y1, v128.load(scale + i, 16)), averages)
    const d0 = f32x4.div(f32x4.sub(c0, f32x4.mul(x0, factors)), divisor),
      d1 = f32x4.div(f32x4.sub(c1, f32x4.mul(x1, factors)), divisor)
    const s0 = madd(y0, x0, v128.load(dscale + i)),
      s1 = madd(y1, x1, v128.load(dscale + i, 16))
    ;(v128.store(dx + i, d1, 16), v128.store(dx + i, d0))
    ;(v128.store(dscale + i, s1, 16), v128.store(dscale + i, s0))
  }
  for (let i = pairs; i < bytes; i += 4) {
    const normalised = (load<f32>(x + i) - mean) / deviation
    const y = load<f32>(dy + i)
    const centred = y * load<f32>(scale + i) - average
    store<f32>(dx + i, (centred - normalised * product) / deviation)
    store<f32>(dscale + i, load<f32>(dscale + i) + y * normalised)
  }
}
