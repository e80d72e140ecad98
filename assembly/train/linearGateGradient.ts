/**
 * Gradients of y = f(z) · multiply, the end of linear with a second factor:
 *
 *     dz[i, j] = dy[i, j]·multiply[i, j]·f'(z[i, j])
 *     dmultiply[i, j] = dy[i, j]·f(z[i, j])
 *
 * f is the activation. `at` is z, or tanh z for tanh (lib/slopes.ts).
 *
 * Shapes: dy, at, multiply, dz and dmultiply [rows, n], each with a row stride.
 *
 * A unit of work is a row.
 */
import { LinearGateGradientArgs } from '../../build/train/operations'
import { first, gelu } from '../lib/math'
import { rowAt } from '../lib/rows'
import { GELU, slope, TANH } from './lib/slopes'

export function linearGateGradient(args: LinearGateGradientArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.n) << 2
  for (let row = begin; row < end; row++) {
    const dz = args.dz + ((<usize>row * args.dzStride) << 2)
    const dmultiply = args.dmultiply + ((<usize>row * args.dmultiplyStride) << 2)
    const dy = rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row)
    const at = rowAt(args.at, args.atStride, args.atFrame, args.frameRows, row)
    const multiply = rowAt(
      args.multiply,
      args.multiplyStride,
      args.multiplyFrame,
      args.frameRows,
      row,
    )
    if (args.activation == GELU) rowOf(GELU, dz, dmultiply, dy, at, multiply, bytes)
    else if (args.activation == TANH) rowOf(TANH, dz, dmultiply, dy, at, multiply, bytes)
    else rowOf(0, dz, dmultiply, dy, at, multiply, bytes)
  }
}

// @ts-ignore: decorator
@inline
function rowOf(
  activation: i32,
  dz: usize,
  dmultiply: usize,
  dy: usize,
  at: usize,
  multiply: usize,
  bytes: usize,
): void {
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) {
    const y = v128.load(dy + i),
      z = v128.load(at + i)
    v128.store(dz + i, f32x4.mul(f32x4.mul(y, v128.load(multiply + i)), slope(activation, z)))
    v128.store(dmultiply + i, f32x4.mul(y, activation == GELU ? gelu(z) : z))
  }
  for (; i < bytes; i += 4) {
    const y = load<f32>(dy + i)
    const z = v128.load_splat<f32>(at + i)
    store<f32>(dz + i, y * load<f32>(multiply + i) * first(slope(activation, z)))
    store<f32>(dmultiply + i, y * first(activation == GELU ? gelu(z) : z))
  }
}
