/**
 * The activation of linear and its product, as an operation of their own:
 *
 *     out[i, j] = f(z[i, j]) · multiply[i, j]
 *
 * f acts on columns 0 to activated − 1. multiply is optional.
 *
 * Shapes: z, multiply and out [rows, n], each with a row stride.
 *
 * The results are bit-identical to those of linear with this activation: the functions are the same
 * (lib/math.ts).
 *
 * A unit of work is a row.
 */
import { ActivateArgs } from '../../build/train/operations'
import { first, gelu, tanh } from '../lib/math'
import { rowAt } from '../lib/rows'
import { GELU, TANH } from './lib/slopes'

export function activate(args: ActivateArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.n) << 2
  const activated = (<usize>args.activated) << 2
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const z = rowAt(args.z, args.zStride, args.zFrame, args.frameRows, row)
    const multiply = args.multiply
      ? rowAt(args.multiply, args.multiplyStride, args.multiplyFrame, args.frameRows, row)
      : 0
    if (args.activation == GELU) rowOf(GELU, out, z, multiply, 0, activated)
    else if (args.activation == TANH) rowOf(TANH, out, z, multiply, 0, activated)
    rowOf(0, out, z, multiply, activated, bytes)
  }
}

/** Computes the bytes from..to−1 of a row. */
// @ts-ignore: decorator
@inline
function rowOf(
  activation: i32,
  out: usize,
  z: usize,
  multiply: usize,
  from: usize,
  to: usize,
): void {
  let i = from
  for (; i + 32 <= to; i += 32) {
    let a = f(activation, v128.load(z + i)),
      b = f(activation, v128.load(z + i, 16))
    if (multiply) {
      a = f32x4.mul(a, v128.load(multiply + i))
      b = f32x4.mul(b, v128.load(multiply + i, 16))
    }
    ;(v128.store(out + i, b, 16), v128.store(out + i, a))
  }
  for (; i < to; i += 4) {
    const v = first(f(activation, v128.load_splat<f32>(z + i)))
    store<f32>(out + i, multiply ? v * load<f32>(multiply + i) : v)
  }
}

// @ts-ignore: decorator
@inline
function f(activation: i32, v: v128): v128 {
  if (activation == GELU) return gelu(v)
  if (activation == TANH) return tanh(v)
  return v
}
