/**
 * Block-diagonal matrix product: for each block q,
 *
 *     out[i, q·n + j] = Σ_k' x[i, q·k + k']·kernel[q, k', j] + bias[q·n + j]
 *
 * Shapes: x [rows, blocks·k] and out [rows, blocks·n], each with a row stride. kernel in panels of
 * 8 columns for each block, [blocks, ⌈n/8⌉, k, 8]. bias [blocks·n], readable up to a multiple of 8.
 *
 * Tiling: blocks are small (128 × 256 for Base). A panel (4 KB) and the rows of x of a tile fit
 * into the L1 cache, so k is not split. Sums start with the bias.
 *
 * Int8: with factors [blocks, rows] and scales [blocks·n], x and kernel are quantised
 * (lib/quantize.ts), each block of a row by itself, and k counts lanes of 32 bits. x is [blocks,
 * rows, k], so that the rows of a block lie together: 25 KB for Base in the relaxed builds, 50 KB
 * in the others. The sum is exact, and
 *
 *     out[i, q·n + j] = factors[q, i]·scales[q·n + j]·Σ_k' x[q, i, k']·kernel[q, k', j]
 *                     + bias[q·n + j]
 *
 * A unit of work is a panel of a block, for one share of the rows.
 */
import { BlockLinearArgs } from '../build/operations'
import { blockOf, int8Tile, tile } from './lib/gemm'
import { dequantised } from './lib/quantize'
import { rowAt } from './lib/rows'
import { int8Rows, PANEL, TILE, WIDE, ZEROS } from './lib/target'

/** @param edge working memory of TILE rows of two panels */
export function blockLinear(args: BlockLinearArgs, edge: usize, begin: i32, end: i32): void {
  const k = args.k
  const n = args.n
  const panels = (n + PANEL - 1) / PANEL
  const ldo = (<usize>args.outStride) << 2
  const ldx = (<usize>args.xStride) << 2
  const shareRows = blockOf(args.rows, args.shares, TILE)
  const quantised = args.factors != 0
  const tall = quantised ? int8Rows() : TILE
  // From one block of x to the next.
  const ldq = (<usize>(quantised ? args.rows * k : k)) << 2
  for (let unit = begin; unit < end;) {
    const share = unit / args.shareUnits
    const within = unit % args.shareUnits
    const block = within / panels
    const panel = within % panels
    const last = min(args.rows, (share + 1) * shareRows)
    // Two full panels of one block can be one wide tile.
    const together = WIDE && unit + 1 < end && (panel + 2) * PANEL <= n ? 2 : 1
    const next = together > 1 ? (<usize>k) << 5 : 0
    const w = args.kernel + ((<usize>within * k) << 5)
    const columns = min(PANEL * together, n - panel * PANEL)
    const column = block * n + panel * PANEL
    const bias = args.bias + ((<usize>column) << 2)
    let row = share * shareRows
    while (row < last) {
      // A tile must not cross the end of a frame: the next frame may begin at any address.
      const rows = min(min(tall, last - row), args.frameRows - (row % args.frameRows))
      const out = args.out + <usize>row * ldo + ((<usize>column) << 2)
      const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row) + <usize>block * ldq
      if (quantised) {
        const ldc = (<usize>(PANEL * together)) << 2
        int8Tile(edge, ldc, x, ldx, w, next, k, rows, ZEROS, 0, w)
        const factors = args.factors + ((<usize>(block * args.rows + row)) << 3)
        finish(args, edge, ldc, out, factors, bias, column, columns, rows)
      } else if (columns >= PANEL) tile(out, ldo, x, ldx, w, next, k, rows, bias, 0, w)
      else {
        // The last panel of a block has fewer than 8 columns. The tile is written to `edge`, and
        // only these columns are copied.
        tile(edge, PANEL << 2, x, ldx, w, 0, k, rows, bias, 0, w)
        for (let i = 0; i < rows; i++)
          memory.copy(out + <usize>i * ldo, edge + ((<usize>i) << 5), (<usize>columns) << 2)
      }
      row += rows
    }
    unit += together
  }
}

/** Dequantises the sums c[rows, columns], adds the bias, and writes the results to out. */
function finish(
  args: BlockLinearArgs,
  c: usize,
  ldc: usize,
  out: usize,
  factors: usize,
  bias: usize,
  column: i32,
  columns: i32,
  rows: i32,
): void {
  const scales = args.scales + ((<usize>column) << 2)
  const bytes = (<usize>columns) << 2
  for (const end = c + <usize>rows * ldc; c < end; c += ldc) {
    const factor = v128.load_splat<f32>(factors)
    const offset = v128.load_splat<i32>(factors, 4)
    // Panels are complete in c, so the last one can be changed there.
    const to = columns < PANEL ? c : out
    for (let o: usize = 0; o < ldc; o += 32) {
      const a = v128.load(scales + o),
        b = v128.load(scales + o, 16)
      const s = dequantised(v128.load(c + o), factor, offset, a, v128.load(bias + o)),
        t = dequantised(v128.load(c + o, 16), factor, offset, b, v128.load(bias + o, 16))
      ;(v128.store(to + o, t, 16), v128.store(to + o, s))
    }
    if (columns < PANEL) memory.copy(out, c, bytes)
    ;((factors += 8), (out += (<usize>args.outStride) << 2))
  }
}
