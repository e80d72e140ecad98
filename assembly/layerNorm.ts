/**
 * out = (x − μ) / √(σ² + 1e-6) · scale + bias, μ and σ² the mean and (biased) variance of the row.
 *
 * x, out [rows, d]; scale, bias [d]. Two passes for μ and σ², because E[x²] − μ² loses its digits when |μ| ≫ σ; a row stays in the
 * first-level cache. A unit of work is a row.
 */
import { sumOf } from './lib/math'

@unmanaged
export class LayerNormArgs {
  out: usize
  outStride: i32
  x: usize
  xStride: i32
  scale: usize
  bias: usize
  d: i32
}

export function layerNorm(args: LayerNormArgs, begin: i32, end: i32): void {
  const bytes = <usize>args.d << 2
  const vectors = bytes & ~15
  for (let row = begin; row < end; row++) {
    const x = args.x + (<usize>row * args.xStride << 2)
    const out = args.out + (<usize>row * args.outStride << 2)
    let lanes = f32x4.splat(0)
    for (let i: usize = 0; i < vectors; i += 16) lanes = f32x4.add(lanes, v128.load(x + i))
    let sum = sumOf(lanes)
    for (let i = vectors; i < bytes; i += 4) sum += load<f32>(x + i)
    const mean = sum / <f32>args.d
    const means = f32x4.splat(mean)

    lanes = f32x4.splat(0)
    for (let i: usize = 0; i < vectors; i += 16) {
      const v = f32x4.sub(v128.load(x + i), means)
      lanes = f32x4.add(lanes, f32x4.mul(v, v))
    }
    sum = sumOf(lanes)
    for (let i = vectors; i < bytes; i += 4) {
      const v = load<f32>(x + i) - mean
      sum += v * v
    }
    const deviation = sqrt<f32>(sum / <f32>args.d + <f32>1e-6)
    const divisor = f32x4.splat(deviation)

    for (let i: usize = 0; i < vectors; i += 16) {
      const v = f32x4.div(f32x4.sub(v128.load(x + i), means), divisor)
      v128.store(out + i, f32x4.add(f32x4.mul(v, v128.load(args.scale + i)), v128.load(args.bias + i)))
    }
    for (let i = vectors; i < bytes; i += 4) {
      store<f32>(out + i, ((load<f32>(x + i) - mean) / deviation) * load<f32>(args.scale + i) + load<f32>(args.bias + i))
    }
  }
}
