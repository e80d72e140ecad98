/**
 * Softmax of each row:
 *
 *     out[j] = e^(x[j] − max x) / Σ_i e^(x[i] − max x)
 *
 * Shapes: x and out [rows, n].
 *
 * A unit of work is a row.
 */
import { SoftmaxArgs } from '../build/operations'
import { rowAt } from './lib/rows'
import { exponentials } from './lib/softmaxRow'

export function softmax(args: SoftmaxArgs, begin: i32, end: i32): void {
  for (let row = begin; row < end; row++) {
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const sum = exponentials(out, x, args.d, 1)
    for (let j: usize = 0; j < (<usize>args.d) << 2; j += 4)
      store<f32>(out + j, load<f32>(out + j) / sum)
  }
}
