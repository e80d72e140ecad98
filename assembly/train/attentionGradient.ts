/**
 * Gradients of attention (assembly/attention.ts), for each frame and head:
 *
 *     p  = softmax(q·kᵀ / √r)
 *     ds = p ⊙ (dy·vᵀ − Σ_c dy ⊙ y) / √r
 *     dq = ds·k
 *     dk = dsᵀ·q
 *     dv = pᵀ·dy
 *
 * Shapes: q, y, dy and dq [frames, nq, heads·r]; k, v, dk and dv [frames, n, heads·r].
 *
 * Tiling: kᵀ, vᵀ and k of one head are packed into panels of 8 columns. Then ROWS rows of q are
 * computed at a time. Their p and ds [ROWS, n] and the transposes of both stay in the L2 cache
 * (95 KB for 197 tokens), and so do the sums dk and dv. All five products run on the micro-kernel.
 *
 * A unit of work is one head of one frame.
 */
import { AttentionGradientArgs } from '../../build/train/operations'
import { tile } from '../lib/gemm'
import { exponentials } from '../lib/softmaxRow'
import { PANEL, TILE, WIDE, ZEROS } from '../lib/target'

/** Rows of q that are computed together (ROWS in src/program/ops/train/attention.ts). */
const ROWS: i32 = 30

/**
 * @param scratch working memory: packed kᵀ, vᵀ and k; dk and dv; packed q and dy; p and ds of ROWS
 * rows; their transposes
 */
export function attentionGradient(
  args: AttentionGradientArgs,
  scratch: usize,
  begin: i32,
  end: i32,
): void {
  const n = args.n
  const r = args.r
  const keyPanels = (n + PANEL - 1) / PANEL
  const headPanels = (r + PANEL - 1) / PANEL
  const keyLine = (<usize>keyPanels) << 5
  const headLine = (<usize>headPanels) << 5
  const keysAcross = scratch
  const valuesAcross = keysAcross + keyLine * r
  const keys = valuesAcross + keyLine * r
  const dk = keys + headLine * n
  const dv = dk + headLine * n
  const queries = dv + headLine * n
  const gradients = queries + headLine * ROWS
  const p = gradients + headLine * ROWS
  const ds = p + keyLine * ROWS
  const pAcross = ds + keyLine * ROWS
  const dsAcross = pAcross + ((<usize>(n * ROWS)) << 2)
  const bytes = (<usize>r) << 2
  const scale: f32 = 1 / sqrt<f32>(<f32>r)
  for (let unit = begin; unit < end; unit++) {
    const frame = unit / args.heads
    const column = (unit % args.heads) * r
    const ldk = (<usize>args.kStride) << 2
    const k = args.k + ((<usize>frame * args.kFrame + column) << 2)
    packColumns(keysAcross, k, ldk, n, r)
    packRows(keys, k, ldk, n, r)
    const v = args.v + ((<usize>frame * args.vFrame + column) << 2)
    packColumns(valuesAcross, v, (<usize>args.vStride) << 2, n, r)
    memory.fill(dk, 0, 2 * headLine * n)
    for (let i = 0; i < args.nq; i += ROWS) {
      const rows = min(ROWS, args.nq - i)
      const ldq = (<usize>args.qStride) << 2
      const q = args.q + ((<usize>frame * args.qFrame + column) << 2) + <usize>i * ldq
      const ldy = (<usize>args.yStride) << 2
      const y = args.y + ((<usize>frame * args.yFrame + column) << 2) + <usize>i * ldy
      const ldd = (<usize>args.dyStride) << 2
      const dy = args.dy + ((<usize>frame * args.dyFrame + column) << 2) + <usize>i * ldd
      product(p, keyLine, q, ldq, keysAcross, r, keyPanels, rows, false)
      product(ds, keyLine, dy, ldd, valuesAcross, r, keyPanels, rows, false)
      for (let row = 0; row < rows; row++) {
        const at = <usize>row * keyLine
        const total = exponentials(p + at, p + at, n, scale)
        const inner = dot(y + <usize>row * ldy, dy + <usize>row * ldd, bytes)
        scores(p + at, ds + at, total, inner, scale, keyLine)
      }
      transposed(pAcross, p, keyLine, rows, n)
      transposed(dsAcross, ds, keyLine, rows, n)
      packRows(queries, q, ldq, rows, r)
      packRows(gradients, dy, ldd, rows, r)
      product(dv, headLine, pAcross, ROWS << 2, gradients, rows, headPanels, n, true)
      product(dk, headLine, dsAcross, ROWS << 2, queries, rows, headPanels, n, true)
      // q is packed and used: its rows make room for dq.
      product(queries, headLine, ds, keyLine, keys, n, headPanels, rows, false)
      const ldo = (<usize>args.dqStride) << 2
      const dq = args.dq + <usize>(frame * args.nq + i) * ldo + ((<usize>column) << 2)
      copyRows(dq, ldo, queries, headLine, bytes, rows)
    }
    const lddk = (<usize>args.dkStride) << 2,
      lddv = (<usize>args.dvStride) << 2
    const first = <usize>frame * n
    copyRows(args.dk + first * lddk + ((<usize>column) << 2), lddk, dk, headLine, bytes, n)
    copyRows(args.dv + first * lddv + ((<usize>column) << 2), lddv, dv, headLine, bytes, n)
  }
}

/** c[rows, 8·panels] = x[rows, k] · w[panels, k, 8], added to c if `adds`. */
function product(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  k: i32,
  panels: i32,
  rows: i32,
  adds: bool,
): void {
  const next = (<usize>k) << 5
  const ldf = adds ? ldc : 0
  for (let row = 0; row < rows; row += TILE) {
    for (let panel = 0; panel < panels;) {
      const together = WIDE && panel + 1 < panels ? 2 : 1
      const at = c + <usize>row * ldc + ((<usize>panel) << 5)
      const from = adds ? at : ZEROS
      const columns = w + <usize>panel * next
      const second = together > 1 ? next : 0
      const left = min(TILE, rows - row)
      tile(at, ldc, x + <usize>row * ldx, ldx, columns, second, k, left, from, ldf, columns)
      panel += together
    }
  }
}

/** p = p / total; ds = p ⊙ (ds − inner) · scale. */
function scores(p: usize, ds: usize, total: f32, inner: f32, scale: f32, bytes: usize): void {
  const totals = f32x4.splat(total)
  const inners = f32x4.splat(inner)
  const scales = f32x4.splat(scale)
  for (let i: usize = 0; i < bytes; i += 32) {
    const p0 = f32x4.div(v128.load(p + i), totals),
      p1 = f32x4.div(v128.load(p + i, 16), totals)
    const s0 = f32x4.mul(f32x4.mul(p0, f32x4.sub(v128.load(ds + i), inners)), scales),
      s1 = f32x4.mul(f32x4.mul(p1, f32x4.sub(v128.load(ds + i, 16), inners)), scales)
    ;(v128.store(p + i, p1, 16), v128.store(p + i, p0))
    ;(v128.store(ds + i, s1, 16), v128.store(ds + i, s0))
  }
}

function dot(x: usize, y: usize, bytes: usize): f32 {
  let sum: f32 = 0
  for (let i: usize = 0; i < bytes; i += 4) sum += load<f32>(x + i) * load<f32>(y + i)
  return sum
}

/** to[j, i] = from[i, j]; rows of `to` are ROWS numbers apart. */
function transposed(to: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    const source = from + <usize>i * stride
    for (let j = 0; j < columns; j++)
      store<f32>(to + ((<usize>(j * ROWS + i)) << 2), load<f32>(source + ((<usize>j) << 2)))
  }
}

/** to[panel, c, j] = from[8·panel + j, c]; zero where there is no row. */
function packColumns(to: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row += PANEL) {
    for (let column = 0; column < columns; column++) {
      for (let j = 0; j < PANEL; j++) {
        const source = from + <usize>(row + j) * stride + ((<usize>column) << 2)
        store<f32>(to + ((<usize>j) << 2), row + j < rows ? load<f32>(source) : 0)
      }
      to += PANEL << 2
    }
  }
}

/** to[panel, row, j] = from[row, 8·panel + j]; zero where there is no column. */
function packRows(to: usize, from: usize, stride: usize, rows: i32, columns: i32): void {
  for (let column = 0; column < columns; column += PANEL) {
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < PANEL; j++) {
        const source = from + <usize>row * stride + ((<usize>(column + j)) << 2)
        store<f32>(to + ((<usize>j) << 2), column + j < columns ? load<f32>(source) : 0)
      }
      to += PANEL << 2
    }
  }
}

/** Copies rows of `bytes` bytes. */
function copyRows(
  to: usize,
  toStride: usize,
  from: usize,
  fromStride: usize,
  bytes: usize,
  rows: i32,
): void {
  for (let row = 0; row < rows; row++)
    memory.copy(to + <usize>row * toStride, from + <usize>row * fromStride, bytes)
}
