/**
 * The norm of each row:
 *
 *     out[i] = √(Σ_j x[i, j]²)
 *
 * Shapes: x [rows, d]; out [rows, 1].
 *
 * Precision: squares are summed in float64 and the result is rounded once.
 *
 * A unit of work is a row.
 */
import { RowNormsArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'
import { norm32, squares } from './lib/squares'

export function rowNorms(args: RowNormsArgs, begin: i32, end: i32): void {
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const out = args.out + ((<usize>row * args.outStride) << 2)
    store<f32>(out, norm32(squares(x, (<usize>args.d) << 2)))
  }
}
