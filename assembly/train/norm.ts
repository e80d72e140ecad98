/**
 * The norm of all elements of x, and of another norm:
 *
 *     out = √(add² + Σ x²)
 *
 * Shapes: x [rows, d]; add and out [1, 1]. add is optional.
 *
 * Precision: squares are summed in float64 and the result is rounded once.
 *
 * There is one unit of work. x is small: the norms of the rows of a gradient.
 */
import { NormArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'
import { norm32, squares } from './lib/squares'

export function norm(args: NormArgs, begin: i32, end: i32): void {
  if (begin >= end) return
  let sum: f64 = args.add ? squares(args.add, 4) : 0
  for (let row = 0; row < args.rows; row++)
    sum += squares(
      rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row),
      (<usize>args.d) << 2,
    )
  store<f32>(args.out, norm32(sum))
}
