/**
 * Softmax attention without a mask, for each frame and head:
 *
 *     p[i, :] = softmax_j(q[i]·k[j] / √r)
 *     out[i]  = Σ_j p[i, j]·v[j]
 *
 * Shapes: q and out [frames, nq, heads·r]; k and v [frames, n, heads·r], each with a row stride.
 *
 * Tiling: first, k (transposed) and v of one head are packed into panels of 8 columns. These 2·n·r
 * numbers stay in the L2 cache (100 KB for Base). Then TILE rows of q are computed at a time: two
 * matrix products with a softmax between them. The scores of these rows (5 KB) stay in the L1
 * cache.
 *
 * A unit of work is one head of one frame, for one share of the rows of q. Heads alone are too few:
 * two threads could not divide the three heads of Tiny evenly.
 */
import { AttentionArgs } from '../build/operations'
import { blockOf, tile } from './lib/gemm'
import { exponentials } from './lib/softmaxRow'
import { PANEL, TILE, WIDE, ZEROS } from './lib/target'

/**
 * @param scratch working memory of 32·(⌈n/8⌉·r + ⌈r/8⌉·n) + 4·TILE·(8·⌈n/8⌉ + 8·⌈r/8⌉) bytes:
 * packed k, packed v, scores, sums
 */
export function attention(args: AttentionArgs, scratch: usize, begin: i32, end: i32): void {
  const n = args.n
  const r = args.r
  const keyPanels = (n + PANEL - 1) / PANEL
  const valuePanels = (r + PANEL - 1) / PANEL
  const keys = scratch
  const values = keys + ((<usize>keyPanels * r) << 5)
  const scores = values + ((<usize>valuePanels * n) << 5)
  const scoreStride = (<usize>keyPanels) << 5
  const sums = scores + <usize>TILE * scoreStride
  const sumStride = (<usize>valuePanels) << 5
  const ldq = (<usize>args.qStride) << 2
  const ldo = (<usize>args.outStride) << 2
  const scale: f32 = 1 / sqrt<f32>(<f32>r)
  const shareRows = blockOf(args.nq, args.shares, TILE)
  for (let unit = begin; unit < end; unit++) {
    const frame = unit / (args.shares * args.heads)
    const share = (unit / args.heads) % args.shares
    const last = min(args.nq, (share + 1) * shareRows)
    const column = (<usize>((unit % args.heads) * r)) << 2
    packColumns(
      keys,
      args.k + ((<usize>frame * args.kFrame) << 2) + column,
      (<usize>args.kStride) << 2,
      n,
      r,
    )
    packRows(
      values,
      args.v + ((<usize>frame * args.vFrame) << 2) + column,
      (<usize>args.vStride) << 2,
      n,
      r,
    )
    for (let i = share * shareRows; i < last; i += TILE) {
      const rows = min(TILE, last - i)
      const q = args.q + ((<usize>frame * args.qFrame) << 2) + <usize>i * ldq + column
      tiles(scores, scoreStride, q, ldq, keys, r, keyPanels, rows)
      for (let row = 0; row < rows; row++) {
        const p = scores + <usize>row * scoreStride
        const total = f32x4.splat(exponentials(p, p, n, scale))
        for (let j: usize = 0; j < scoreStride; j += PANEL << 2) {
          const p0 = f32x4.div(v128.load(p + j), total),
            p1 = f32x4.div(v128.load(p + j, 16), total)
          ;(v128.store(p + j, p1, 16), v128.store(p + j, p0))
        }
      }
      const out = args.out + <usize>(frame * args.nq + i) * ldo + column
      if (r % PANEL == 0) tiles(out, ldo, scores, scoreStride, values, n, valuePanels, rows)
      else {
        tiles(sums, sumStride, scores, scoreStride, values, n, valuePanels, rows)
        for (let row = 0; row < rows; row++)
          memory.copy(out + <usize>row * ldo, sums + <usize>row * sumStride, (<usize>r) << 2)
      }
    }
  }
}

/** c[rows, 8·panels] = x[rows, k] · w[panels, k, 8]. */
function tiles(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  k: i32,
  panels: i32,
  rows: i32,
): void {
  const next = (<usize>k) << 5
  for (let panel = 0; panel < panels;) {
    const together = WIDE && panel + 1 < panels ? 2 : 1
    tile(c + ((<usize>panel) << 5), ldc, x, ldx, w, together > 1 ? next : 0, k, rows, ZEROS, 0, w)
    panel += together
    w += <usize>together * next
  }
}

/** to[panel, c, j] = from[8·panel + j, c]: rows become columns; zero where there is no row. */
function packColumns(to: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row += PANEL) {
    const source = from + <usize>row * stride
    let column = 0
    if (row + PANEL <= rows) {
      for (; column + 4 <= columns; column += 4) {
        const at = source + ((<usize>column) << 2),
          target = to + ((<usize>column) << 5)
        transpose(target, at, stride)
        transpose(target + 16, at + 4 * stride, stride)
      }
    }
    for (; column < columns; column++) {
      for (let j = 0; j < PANEL; j++)
        store<f32>(
          to + ((<usize>(column * PANEL + j)) << 2),
          row + j < rows ? load<f32>(source + <usize>j * stride + ((<usize>column) << 2)) : 0,
        )
    }
    to += (<usize>columns) << 5
  }
}

/** Transposes 4 × 4 values into four rows of a panel. */
// @ts-ignore: decorator
@inline
function transpose(to: usize, from: usize, stride: usize): void {
  const a = v128.load(from),
    b = v128.load(from + stride),
    c = v128.load(from + 2 * stride),
    d = v128.load(from + 3 * stride)
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5),
    cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7),
    gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(to, v128.shuffle<i64>(ab, cd, 1, 3), 32)
  v128.store(to, v128.shuffle<i64>(ef, gh, 0, 2), 64)
  v128.store(to, v128.shuffle<i64>(ef, gh, 1, 3), 96)
}

/** to[panel, row, j] = from[row, 8·panel + j]; zero where there is no column. */
function packRows(to: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  for (let column = 0; column < columns; column += PANEL) {
    for (let row = 0; row < rows; row++) {
      const source = from + <usize>row * stride + ((<usize>column) << 2)
      if (column + PANEL <= columns) {
        const left = v128.load(source),
          right = v128.load(source, 16)
        ;(v128.store(to, right, 16), v128.store(to, left))
      } else {
        for (let j = 0; j < PANEL; j++)
          store<f32>(
            to + ((<usize>j) << 2),
            column + j < columns ? load<f32>(source + ((<usize>j) << 2)) : 0,
          )
      }
      to += PANEL << 2
    }
  }
}
