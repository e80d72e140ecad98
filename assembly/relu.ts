/**
 * out = max(x, 0), row by row; NaN stays NaN.
 *
 * x, out [rows, d]. A unit of work is a row.
 */
import { ReluArgs } from '../build/operations'

export function relu(args: ReluArgs, begin: i32, end: i32): void {
  const bytes = (<usize>args.d) << 2
  for (let row = begin; row < end; row++) {
    const x = args.x + ((<usize>row * args.xStride) << 2)
    const out = args.out + ((<usize>row * args.outStride) << 2)
    for (let i: usize = 0; i < bytes; i += 4) store<f32>(out + i, max<f32>(load<f32>(x + i), 0))
  }
}
