/**
 * Gradient of the kernel of linear or blockLinear: for each block q,
 *
 *     dkernel[q·k + i, j] = Σ_r x[r, q·k + i]·dy[r, q·n + j]
 *
 * Shapes: x [rows, blocks·k], dy [rows, blocks·n], dkernel [blocks·k, n], each with a row stride.
 *
 * Blocking: rows come in blocks of at most BLOCK. For each, a band of columns of x is transposed
 * into `scratch` (800 KB, the L2 cache) once. Then two panels of dy at a time are copied to
 * `scratch` (32 KB), and multiplied with the whole band. So an element of dy is copied once for 384
 * multiply-adds, and one of x is transposed once for all columns of dy that a thread takes at a
 * time.
 *
 * Sums grow in dkernel in the order of rows. They depend neither on blocks nor on threads.
 *
 * A unit of work is a strip of 32 columns of dy for a band of x.
 */
import { LinearKernelGradientArgs } from '../../build/train/operations'
import { blockOf } from '../lib/gemm'
import { rowAt } from '../lib/rows'
import { PANEL, TILE, ZEROS } from '../lib/target'
import { EDGE_BYTES, PAIR, pairProduct, transpose } from './lib/pairs'

/** The most rows of a block. */
const BLOCK: i32 = 512
/** Bytes of a row of the transposed band: an odd number of cache lines, which uses all sets. */
const LINE: usize = (BLOCK << 2) + 64
/** Columns of a unit (STRIP in src/program/ops/train/products.ts). */
const STRIP: i32 = 32

/** @param scratch edge, two panels of dy, and the transposed band of x */
export function linearKernelGradient(
  args: LinearKernelGradientArgs,
  scratch: usize,
  begin: i32,
  end: i32,
): void {
  const strips = (args.n + STRIP - 1) / STRIP
  const bandColumns = blockOf(args.k, args.bands, TILE)
  for (let unit = begin; unit < end;) {
    const place = unit / strips
    const first = place * strips
    const column = (place % args.bands) * bandColumns
    // Bands are multiples of a tile, so the last ones may have no columns.
    if (column < args.k)
      bandOf(
        args,
        scratch,
        place / args.bands,
        column,
        min(bandColumns, args.k - column),
        (unit - first) * STRIP,
        min(min(strips, end - first) * STRIP, args.n),
      )
    unit = first + strips
  }
}

/** Computes the columns begin..end−1 of dkernel for `columns` columns of x in a block. */
function bandOf(
  args: LinearKernelGradientArgs,
  scratch: usize,
  block: i32,
  column: i32,
  columns: i32,
  begin: i32,
  end: i32,
): void {
  const pair = scratch + EDGE_BYTES
  const band = pair + ((<usize>(BLOCK * PAIR)) << 2)
  const next = (<usize>(BLOCK * PANEL)) << 2
  const ldo = (<usize>args.dkernelStride) << 2
  const out = args.dkernel + <usize>(block * args.k + column) * ldo
  const blockRows = blockOf(args.rows, (args.rows + BLOCK - 1) / BLOCK, 4)
  for (let row = 0; row < args.rows; row += blockRows) {
    const rows = min(blockRows, args.rows - row)
    transposeBand(args, band, row, rows, block * args.k + column, columns)
    for (let j = begin; j < end; j += PAIR) {
      const width = min(PAIR, end - j)
      packPair(args, pair, next, row, rows, block * args.n + j, width)
      const to = out + ((<usize>j) << 2)
      pairProduct(
        to,
        ldo,
        band,
        LINE,
        pair,
        next,
        rows,
        columns,
        width,
        row ? to : ZEROS,
        row ? ldo : 0,
        scratch,
      )
    }
  }
}

/** to[i, r] = x[row + r, column + i]. */
function transposeBand(
  args: LinearKernelGradientArgs,
  to: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
): void {
  const offset = (<usize>column) << 2
  let r = 0
  for (; r + 4 <= rows; r += 4) {
    const x0 = xAt(args, row + r) + offset,
      x1 = xAt(args, row + r + 1) + offset,
      x2 = xAt(args, row + r + 2) + offset,
      x3 = xAt(args, row + r + 3) + offset
    let at = to + ((<usize>r) << 2)
    let i: usize = 0
    const whole = (<usize>(columns & ~3)) << 2
    for (; i < whole; i += 16) {
      transpose(at, LINE, x0 + i, x1 + i, x2 + i, x3 + i)
      at += 4 * LINE
    }
    for (; i < (<usize>columns) << 2; i += 4) {
      store<f32>(at, load<f32>(x0 + i))
      store<f32>(at, load<f32>(x1 + i), 4)
      store<f32>(at, load<f32>(x2 + i), 8)
      store<f32>(at, load<f32>(x3 + i), 12)
      at += LINE
    }
  }
  for (; r < rows; r++) {
    const x = xAt(args, row + r) + offset
    for (let i = 0; i < columns; i++)
      store<f32>(to + <usize>i * LINE + ((<usize>r) << 2), load<f32>(x + ((<usize>i) << 2)))
  }
}

/** Copies 1 to 16 columns of dy to two panels, `next` bytes apart; missing columns are zero. */
function packPair(
  args: LinearKernelGradientArgs,
  to: usize,
  next: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const dy =
      rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row + r) + ((<usize>column) << 2)
    if (columns == PAIR) {
      v128.store(to, v128.load(dy))
      v128.store(to, v128.load(dy, 16), 16)
      v128.store(to + next, v128.load(dy, 32))
      v128.store(to + next, v128.load(dy, 48), 16)
    } else
      for (let j = 0; j < PAIR; j++)
        store<f32>(
          to + (j < PANEL ? 0 : next) + ((<usize>(j % PANEL)) << 2),
          j < columns ? load<f32>(dy + ((<usize>j) << 2)) : 0,
        )
    to += PANEL << 2
  }
}

// @ts-ignore: decorator
@inline
function xAt(args: LinearKernelGradientArgs, row: i32): usize {
  return rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
}
