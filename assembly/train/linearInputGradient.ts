/**
 * Gradient of the input of linear or blockLinear: for each block q,
 *
 *     dx[r, q·k + i] = Σ_j dy[r, q·n + j]·kernel[q, i, j] + add[r, q·k + i]
 *
 * Shapes: dy [rows, blocks·n], dx and add [rows, blocks·k], each with a row stride. kernel in
 * panels of 8 columns, [blocks, ⌈n/8⌉, k, 8]. add is optional.
 *
 * Blocking: as in linear. A block has at most BLOCK_N columns of dy and BLOCK_ROWS rows (600 KB),
 * and stays in the L2 cache. Two panels of the transposed kernel at a time are packed into
 * `scratch` (48 KB), and multiplied with the block. So an element of the kernel is transposed once
 * for 200 multiply-adds. Sums start with `add` and grow in dx in the order of j.
 *
 * A unit of work is two panels, 16 columns of dx, of a block of rows.
 */
import { LinearInputGradientArgs } from '../../build/train/operations'
import { blockOf } from '../lib/gemm'
import { rowAt } from '../lib/rows'
import { PANEL, TILE, ZEROS } from '../lib/target'
import { EDGE_BYTES, PAIR, pairProduct, transpose } from './lib/pairs'

/** The most columns of dy in a block. */
const BLOCK_N: i32 = 768

/** @param scratch edge and two panels of the transposed kernel */
export function linearInputGradient(
  args: LinearInputGradientArgs,
  scratch: usize,
  begin: i32,
  end: i32,
): void {
  const pairs = (args.k + PAIR - 1) / PAIR
  const blockRows = blockOf(args.rows, args.rowBlocks, TILE)
  for (let unit = begin; unit < end;) {
    const place = unit / pairs
    const first = place * pairs
    const row = (place / args.blocks) * blockRows
    // Blocks are multiples of a tile, so the last ones may have no rows.
    if (row < args.rows)
      pairsOf(
        args,
        scratch,
        place % args.blocks,
        row,
        min(row + blockRows, args.rows),
        (unit - first) * PAIR,
        min(min(pairs, end - first) * PAIR, args.k),
      )
    unit = first + pairs
  }
}

/** Computes the columns begin..end−1 of dx in a block, for the rows row..last−1. */
function pairsOf(
  args: LinearInputGradientArgs,
  scratch: usize,
  block: i32,
  row: i32,
  last: i32,
  begin: i32,
  end: i32,
): void {
  const pair = scratch + EDGE_BYTES
  const blockN = blockOf(args.n, (args.n + BLOCK_N - 1) / BLOCK_N, PANEL)
  for (let j = 0; j < args.n; j += blockN) {
    const count = min(blockN, args.n - j)
    for (let i = begin; i < end; i += PAIR) {
      packPair(args, pair, block, i, j, count)
      products(args, scratch, pair, block, row, last, i, min(PAIR, end - i), j, count)
    }
  }
}

/** Adds the products of `count` columns of dy, from j on, to `width` columns of dx. */
function products(
  args: LinearInputGradientArgs,
  edge: usize,
  pair: usize,
  block: i32,
  row: i32,
  last: i32,
  column: i32,
  width: i32,
  j: i32,
  count: i32,
): void {
  const next = (<usize>(BLOCK_N * PANEL)) << 2
  const ldo = (<usize>args.dxStride) << 2
  const offset = (<usize>(block * args.k + column)) << 2
  const started = j > 0
  while (row < last) {
    // The next frame of dy may begin at any address.
    const rows = min(last - row, args.frameRows - (row % args.frameRows))
    const dy =
      rowAt(args.dy, args.dyStride, args.dyFrame, args.frameRows, row) +
      ((<usize>(block * args.n + j)) << 2)
    const dx = args.dx + <usize>row * ldo + offset
    let from = started ? dx : ZEROS,
      ldf = started ? ldo : 0
    if (!started && args.add) {
      from = rowAt(args.add, args.addStride, args.addFrame, args.frameRows, row) + offset
      ldf = (<usize>args.addStride) << 2
    }
    const ldy = (<usize>args.dyStride) << 2
    pairProduct(dx, ldo, dy, ldy, pair, next, count, rows, width, from, ldf, edge)
    row += rows
  }
}

/**
 * Packs the columns column..column+15 of the transposed kernel of a block, `count` rows from j on,
 * which is a multiple of 8. Columns beyond the last one repeat it.
 */
function packPair(
  args: LinearInputGradientArgs,
  to: usize,
  block: i32,
  column: i32,
  j: i32,
  count: i32,
): void {
  const panels = (args.n + PANEL - 1) / PANEL
  const width = (<usize>PANEL) << 2
  for (let half = 0; half < 2; half++) {
    let w = args.kernel + <usize>((block * panels + j / PANEL) * args.k) * width
    let at = to
    const first = column + half * PANEL
    if (first >= args.k) return
    const o0 = rowOf(args, first),
      o1 = rowOf(args, first + 1),
      o2 = rowOf(args, first + 2),
      o3 = rowOf(args, first + 3),
      o4 = rowOf(args, first + 4),
      o5 = rowOf(args, first + 5),
      o6 = rowOf(args, first + 6),
      o7 = rowOf(args, first + 7)
    for (let left = count; left > 0; left -= PANEL) {
      transpose(at, width, w + o0, w + o1, w + o2, w + o3)
      transpose(at + 16, width, w + o4, w + o5, w + o6, w + o7)
      transpose(at + 4 * width, width, w + o0 + 16, w + o1 + 16, w + o2 + 16, w + o3 + 16)
      transpose(at + 4 * width + 16, width, w + o4 + 16, w + o5 + 16, w + o6 + 16, w + o7 + 16)
      at += <usize>PANEL * width
      w += <usize>args.k * width
    }
    to += (<usize>(BLOCK_N * PANEL)) << 2
  }
}

/** Bytes from the start of a panel to a row. */
// @ts-ignore: decorator
@inline
function rowOf(args: LinearInputGradientArgs, row: i32): usize {
  return (<usize>min(row, args.k - 1)) << 5
}
