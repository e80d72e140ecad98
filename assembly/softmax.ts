/**
 * out[j] = e^(x[j] − max x) / Σ_i e^(x[i] − max x), row by row.
 *
 * x, out [rows, n]. A unit of work is a row.
 */
import { exponentials } from './lib/softmaxRow'


@unmanaged
export class SoftmaxArgs {
  out: usize
  outStride: i32
  x: usize
  xStride: i32
  n: i32
}

export function softmax(args: SoftmaxArgs, begin: i32, end: i32): void {
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const sum = exponentials(out, args.x + ((<usize>row * args.xStride) << 2), args.n, 1)
    for (let j: usize = 0; j < (<usize>args.n) << 2; j += 4)
      store<f32>(out + j, load<f32>(out + j) / sum)
  }
}
