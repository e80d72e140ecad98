/**
 * Gradient of the activation of linear:
 *
 *     dz[i, j] = dy[i, j]·f'(z[i, j])
 *
 * f acts on columns 0 to activated − 1; the others are copied. `at` is z for gelu, and tanh z for
 * tanh (lib/slopes.ts).
 *
 * Shapes: dy, at and dz [rows, n], each with a row stride.
 *
 * A unit of work is a row.
 */
import { LinearActivationGradientArgs } from '../../build/train/operations'
import { first } from '../lib/math'
import { rowAt } from '../lib/rows'
import { GELU, slope, TANH } from './lib/slopes'

export function linearActivationGradient(
  args: LinearActivationGradientArgs,
  begin: i32,
  end: i32,
): void {
  const activated = (<usize>args.activated) << 2
  for (let row = begin; row < end; row++) {
    const dz = args.dz + ((<usize>row * args.dzStride) << 2)
    const dy = rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row)
    const at = rowAt(args.at, args.atStride, args.atFrame, args.frameRows, row)
    if (args.activation == GELU) rowOf(GELU, dz, dy, at, activated)
    else if (args.activation == TANH) rowOf(TANH, dz, dy, at, activated)
    memory.copy(dz + activated, dy + activated, ((<usize>args.n) << 2) - activated)
  }
}

/** Computes the first `bytes` bytes of a row. */
// @ts-ignore: decorator
@inline
function rowOf(activation: i32, dz: usize, dy: usize, at: usize, bytes: usize): void {
  const pairs = bytes & ~31
  let i: usize = 0
  for (; i < pairs; i += 32) {
    const a = f32x4.mul(v128.load(dy + i), slope(activation, v128.load(at + i))),
      b = f32x4.mul(v128.load(dy + i, 16), slope(activation, v128.load(at + i, 16)))
    ;(v128.store(dz + i, b, 16), v128.store(dz + i, a))
  }
  for (; i < bytes; i += 4)
    store<f32>(dz + i, load<f32>(dy + i) * first(slope(activation, v128.load_splat<f32>(at + i))))
}
