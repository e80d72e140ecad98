/**
 * The sum of two tensors:
 *
 *     out[i, j] = a[i, j] + b[i, j]
 *
 * Shapes: a, b and out [rows, n], each with a row stride.
 *
 * A unit of work is a row.
 */
import { AddArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'

export function add(args: AddArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.n) << 2
  const pairs = bytes & ~31
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const a = rowAt(args.a, args.aStride, args.aFrame, args.frameRows, row)
    const b = rowAt(args.b, args.bStride, args.bFrame, args.frameRows, row)
    for (let i: usize = 0; i < pairs; i += 32) {
      const s = f32x4.add(v128.load(a + i), v128.load(b + i)),
        t = f32x4.add(v128.load(a + i, 16), v128.load(b + i, 16))
      ;(v128.store(out + i, t, 16), v128.store(out + i, s))
    }
    for (let i = pairs; i < bytes; i += 4) store<f32>(out + i, load<f32>(a + i) + load<f32>(b + i))
  }
}
