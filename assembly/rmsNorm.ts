/**
 * out = x / √(mean(x²) + 1e-6) · (1 + scale), row by row.
 *
 * x, out [rows, d]; scale [d]. A row is read twice, the second time from the first-level cache. A unit of work is a row.
 */
import { sumOf } from './lib/math'

@unmanaged
export class RmsNormArgs {
  out: usize
  outStride: i32
  x: usize
  xStride: i32
  scale: usize
  d: i32
}

export function rmsNorm(args: RmsNormArgs, begin: i32, end: i32): void {
  const bytes = <usize>args.d << 2
  const vectors = bytes & ~15
  const one = f32x4.splat(1)
  for (let row = begin; row < end; row++) {
    const x = args.x + (<usize>row * args.xStride << 2)
    const out = args.out + (<usize>row * args.outStride << 2)
    let lanes = f32x4.splat(0)
    for (let i: usize = 0; i < vectors; i += 16) {
      const v = v128.load(x + i)
      lanes = f32x4.add(lanes, f32x4.mul(v, v))
    }
    let sum = sumOf(lanes)
    for (let i = vectors; i < bytes; i += 4) sum += load<f32>(x + i) * load<f32>(x + i)
    const rms = sqrt<f32>(sum / <f32>args.d + <f32>1e-6)
    const divisor = f32x4.splat(rms)
    for (let i: usize = 0; i < vectors; i += 16) {
      v128.store(out + i, f32x4.mul(f32x4.div(v128.load(x + i), divisor), f32x4.add(one, v128.load(args.scale + i))))
    }
    for (let i = vectors; i < bytes; i += 4) store<f32>(out + i, (load<f32>(x + i) / rms) * (1 + load<f32>(args.scale + i)))
  }
}
