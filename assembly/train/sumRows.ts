/**
 * The sum of all rows of x:
 *
 *     out[0, j] = Σ_i x[i, j]
 *
 * Shapes: x [rows, d]; out [1, d].
 *
 * Precision: rows are summed in blocks of 64, then the sums of the blocks, so that the error grows
 * with 64 + rows/64 and not with rows.
 *
 * A unit of work is 16 columns. The order of a sum does not depend on threads.
 */
import { SumRowsArgs } from '../../build/train/operations'
import { rowAt } from '../lib/rows'

/** Columns of a unit: a cache line (STRIP in src/program/ops/train/sums.ts). */
const STRIP: i32 = 16
/** Rows of a block. */
const BLOCK: i32 = 64

export function sumRows(args: SumRowsArgs, begin: i32, end: i32): void {
  for (let unit = begin; unit < end; unit++) {
    const column = unit * STRIP
    const columns = min(STRIP, args.d - column)
    if (columns == STRIP) sumStrip(args, column)
    else for (let i = 0; i < columns; i++) sumColumn(args, column + i)
  }
}

function sumStrip(args: SumRowsArgs, column: i32): void {
  const out = args.out + ((<usize>column) << 2)
  const zero = f32x4.splat(0)
  let t0 = zero,
    t1 = zero,
    t2 = zero,
    t3 = zero
  for (let from = 0; from < args.rows; from += BLOCK) {
    let s0 = zero,
      s1 = zero,
      s2 = zero,
      s3 = zero
    const to = min(from + BLOCK, args.rows)
    for (let row = from; row < to; row++) {
      const x = columnOf(args, row, column)
      s0 = f32x4.add(s0, v128.load(x))
      s1 = f32x4.add(s1, v128.load(x, 16))
      s2 = f32x4.add(s2, v128.load(x, 32))
      s3 = f32x4.add(s3, v128.load(x, 48))
    }
    t0 = f32x4.add(t0, s0)
    t1 = f32x4.add(t1, s1)
    t2 = f32x4.add(t2, s2)
    t3 = f32x4.add(t3, s3)
  }
  v128.store(out, t0)
  v128.store(out, t1, 16)
  v128.store(out, t2, 32)
  v128.store(out, t3, 48)
}

function sumColumn(args: SumRowsArgs, column: i32): void {
  let total: f32 = 0
  for (let from = 0; from < args.rows; from += BLOCK) {
    let sum: f32 = 0
    const to = min(from + BLOCK, args.rows)
    for (let row = from; row < to; row++) sum += load<f32>(columnOf(args, row, column))
    total += sum
  }
  store<f32>(args.out + ((<usize>column) << 2), total)
}

// @ts-ignore: decorator
@inline
function columnOf(args: SumRowsArgs, row: i32, column: i32): usize {
  return rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row) + ((<usize>column) << 2)
}
