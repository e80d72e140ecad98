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
 * A unit of work is a panel of a block, for one share of the rows.
 */
import { BlockLinearArgs } from '../build/operations'
import { blockOf, tile } from './lib/gemm'
import { rowAt } from './lib/rows'
import { PANEL, TILE, WIDE } from './lib/target'

/** @param edge working memory of TILE rows of a panel */
export function blockLinear(args: BlockLinearArgs, edge: usize, begin: i32, end: i32): void {
  const k = args.k
  const n = args.n
  const panels = (n + PANEL - 1) / PANEL
  const ldo = (<usize>args.outStride) << 2
  const ldx = (<usize>args.xStride) << 2
  const shareRows = blockOf(args.rows, args.shares, TILE)
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
    const columns = min(PANEL, n - panel * PANEL)
    const column = block * n + panel * PANEL
    const bias = args.bias + ((<usize>column) << 2)
    let row = share * shareRows
    while (row < last) {
      // A tile must not cross the end of a frame: the next frame may begin at any address.
      const rows = min(min(TILE, last - row), args.frameRows - (row % args.frameRows))
      const out = args.out + <usize>row * ldo + ((<usize>column) << 2)
      const x =
        rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row) + ((<usize>(block * k)) << 2)
      if (columns == PANEL) tile(out, ldo, x, ldx, w, next, k, rows, bias, 0, w)
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
