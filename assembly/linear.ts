/**
 * Matrix product with an epilogue:
 *
 *     out[i, j] = f(Σ_k x[i, k]·kernel[k, j] + bias[j]) · multiply[i, j] + add[i, j]
 *               + table[i mod tableRows, j]
 *
 * f is the activation; it acts on columns 0 to activated − 1. All but the sum is optional.
 *
 * Shapes: x [rows, k]; out, multiply and add [rows, n], each with a row stride. kernel in panels of
 * 8 columns, [⌈n/8⌉, k, 8], zero where there is no column. bias [n], readable up to a multiple of
 * 8. table [tableRows, n].
 *
 * Blocking: a block has at most BLOCK_K columns of x and some of its rows (300 or 600 KB). It stays
 * in the L2 cache while every panel of the kernel is read once. The rows of one tile (18 KB) stay
 * in the L1 cache while the tile reads one panel (24 KB) or two. Sums start with the bias and grow
 * in `scratch`. Only finished results are written to `out`: its rows are so far apart that few of
 * them fit into the L1 cache at once.
 *
 * Int8: with factors [rows] and scales [n], x and kernel are quantised (lib/quantize.ts) and k
 * counts lanes of 32 bits. The sum is exact. The argument of f is then
 *
 *     factors[i]·scales[j]·Σ_k x[i, k]·kernel[k, j] + bias[j]
 *
 * A unit of work is a panel of a block of rows.
 */
import { LinearArgs } from '../build/operations'
import { blockOf, int8Tile, tile } from './lib/gemm'
import { first, gelu, tanh } from './lib/math'
import { dequantised } from './lib/quantize'
import { rowAt } from './lib/rows'
import { int8Rows, PANEL, TILE, WIDE, ZEROS } from './lib/target'

/** The most columns of x in a block. */
const BLOCK_K: i32 = 768
/** Values of `activation`. */
const GELU: i32 = 1
const TANH: i32 = 2

/**
 * @param scratch working memory: the sums of a block of rows, for two panels, or for all panels if
 * k > BLOCK_K
 */
export function linear(args: LinearArgs, scratch: usize, begin: i32, end: i32): void {
  const panels = (args.n + PANEL - 1) / PANEL
  const blockRows = blockOf(args.rows, args.rowBlocks, TILE)
  for (let unit = begin; unit < end;) {
    const block = unit / panels
    const first = block * panels
    const row = block * blockRows
    // Blocks are multiples of a tile, so the last ones may have no rows.
    if (row < args.rows)
      panelsOf(
        args,
        scratch,
        row,
        min(blockRows, args.rows - row),
        unit - first,
        min(panels, end - first),
      )
    unit = first + panels
  }
}

/** Computes the panels begin..end−1 of a block of rows. */
function panelsOf(
  args: LinearArgs,
  scratch: usize,
  row: i32,
  rows: i32,
  begin: i32,
  end: i32,
): void {
  const blockK = blockOf(args.k, (args.k + BLOCK_K - 1) / BLOCK_K, 8)
  for (let k = 0; k < args.k; k += blockK) {
    const last = k + blockK >= args.k
    let c = scratch
    for (let panel = begin; panel < end;) {
      const panels = WIDE && panel + 1 < end ? 2 : 1
      products(args, c, row, rows, panel, panels, panel + panels < end, k, min(blockK, args.k - k))
      if (last)
        finish(
          args,
          c,
          (<usize>panels) << 5,
          row,
          rows,
          panel * PANEL,
          min(panels * PANEL, args.n - panel * PANEL),
        )
      panel += panels
      // If k is not split, all panels use the same scratch, which stays in the L1 cache.
      if (blockK < args.k) c += (<usize>(rows * panels)) << 5
    }
  }
}

/**
 * Adds one block of k: c[rows, 8·panels] = from + x[row.., k..] · kernel[k.., panel..]. `from` is
 * the bias if k = 0, and c otherwise.
 * @param panels 1 or 2
 * @param more whether other panels follow, which can be prefetched
 * @param count columns of x
 */
function products(
  args: LinearArgs,
  c: usize,
  row: i32,
  rows: i32,
  panel: i32,
  panels: i32,
  more: bool,
  k: i32,
  count: i32,
): void {
  const ldc = (<usize>panels) << 5
  const ldx = (<usize>args.xStride) << 2
  const w = args.kernel + ((<usize>panel * args.k + k) << 5)
  const next = (<usize>args.k) << 5
  const following = more ? w + <usize>panels * next : w
  const bias = args.bias && !args.factors ? args.bias + ((<usize>panel) << 5) : ZEROS
  const quantised = args.factors != 0
  const tall = quantised ? int8Rows() : TILE
  // Bytes from the end of a frame of x to the start of the next.
  const gap = (<usize>(args.xFrame - args.frameRows * args.xStride)) << 2
  let x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row) + ((<usize>k) << 2)
  let inFrame = args.frameRows - (row % args.frameRows)
  for (let left = rows, tiles = 0; left > 0; tiles++) {
    const height = min(min(tall, left), inFrame)
    const from = k ? c : bias,
      ldf = k ? ldc : 0
    // Sixteen tiles together prefetch one of the next panels.
    const ahead =
      tiles >> 4 < panels
        ? following + <usize>(tiles >> 4) * next + <usize>(tiles & 15) * ((<usize>count) << 1)
        : w
    if (quantised)
      int8Tile(c, ldc, x, ldx, w, panels > 1 ? next : 0, count, height, from, ldf, ahead)
    else tile(c, ldc, x, ldx, w, panels > 1 ? next : 0, count, height, from, ldf, ahead)
    c += <usize>height * ldc
    x += <usize>height * ldx
    left -= height
    inFrame -= height
    if (!inFrame) {
      inFrame = args.frameRows
      x += gap
    }
  }
}

/**
 * Applies the epilogue to c[rows, columns] and writes the results to out[row.., column..]. Common
 * epilogues have loops of their own, whose vectors V8 can merge.
 */
function finish(
  args: LinearArgs,
  c: usize,
  ldc: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
): void {
  const activated = min(max(args.activated - column, 0), columns)
  const plain = !args.multiply && !args.table && columns % PANEL == 0 && args.frameRows == args.rows
  if (plain && !args.add && args.activation == GELU && activated == columns)
    finishPlain(GELU, false, args, c, ldc, row, rows, column, columns)
  else if (plain && !args.add && !activated)
    finishPlain(0, false, args, c, ldc, row, rows, column, columns)
  else if (plain && args.add && !activated)
    finishPlain(0, true, args, c, ldc, row, rows, column, columns)
  else {
    if (args.factors) dequantise(args, c, ldc, row, rows, column)
    finishAny(args, c, ldc, row, rows, column, columns, activated)
  }
}

/** Dequantises the sums in c[rows, ldc] and adds the bias, in place. */
function dequantise(
  args: LinearArgs,
  c: usize,
  ldc: usize,
  row: i32,
  rows: i32,
  column: i32,
): void {
  const at = (<usize>column) << 2
  const bias = args.bias ? args.bias + at : ZEROS
  let factors = args.factors + ((<usize>row) << 3)
  for (const end = c + <usize>rows * ldc; c < end; c += ldc, factors += 8) {
    const factor = v128.load_splat<f32>(factors)
    const offset = v128.load_splat<i32>(factors, 4)
    for (let o: usize = 0; o < ldc; o += 16) {
      const scale = v128.load(args.scales + at + o)
      v128.store(c + o, dequantised(v128.load(c + o), factor, offset, scale, v128.load(bias + o)))
    }
  }
}

// @ts-ignore: decorator
@inline
function finishPlain(
  activation: i32,
  adds: bool,
  args: LinearArgs,
  c: usize,
  ldc: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
): void {
  if (args.factors) finishWith(activation, adds, true, args, c, ldc, row, rows, column, columns)
  else finishWith(activation, adds, false, args, c, ldc, row, rows, column, columns)
}

// @ts-ignore: decorator
@inline
function finishWith(
  activation: i32,
  adds: bool,
  quantised: bool,
  args: LinearArgs,
  c: usize,
  ldc: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
): void {
  const ldo = (<usize>args.outStride) << 2,
    lda = (<usize>args.addStride) << 2
  const end = c + <usize>rows * ldc
  const at = (<usize>column) << 2
  const scales = args.scales + at
  const bias = args.bias ? args.bias + at : ZEROS
  let out = args.out + <usize>row * ldo + at
  let add = args.add + <usize>row * lda + at
  let factors = args.factors + ((<usize>row) << 3)
  let factor = f32x4.splat(0),
    offset = factor
  while (c < end) {
    if (quantised) {
      factor = v128.load_splat<f32>(factors)
      offset = v128.load_splat<i32>(factors, 4)
      factors += 8
    }
    finishPanel(activation, adds, quantised, out, c, add, factor, offset, scales, bias)
    if (WIDE && columns > PANEL)
      finishPanel(
        activation,
        adds,
        quantised,
        out + 32,
        c + 32,
        add + 32,
        factor,
        offset,
        scales + 32,
        bias + 32,
      )
    ;((c += ldc), (out += ldo))
    if (adds) add += lda
  }
}

// @ts-ignore: decorator
@inline
function finishPanel(
  activation: i32,
  adds: bool,
  quantised: bool,
  out: usize,
  c: usize,
  add: usize,
  factor: v128,
  offset: v128,
  scales: usize,
  bias: usize,
): void {
  const s = v128.load(c),
    t = v128.load(c, 16)
  const a = quantised ? dequantised(s, factor, offset, v128.load(scales), v128.load(bias)) : s,
    b = quantised ? dequantised(t, factor, offset, v128.load(scales, 16), v128.load(bias, 16)) : t
  const v = activation == GELU ? gelu(a) : a,
    u = activation == GELU ? gelu(b) : b
  const p = adds ? f32x4.add(v, v128.load(add)) : v,
    q = adds ? f32x4.add(u, v128.load(add, 16)) : u
  ;(v128.store(out, q, 16), v128.store(out, p))
}

function finishAny(
  args: LinearArgs,
  c: usize,
  ldc: usize,
  row: i32,
  rows: i32,
  column: i32,
  columns: i32,
  activated: i32,
): void {
  for (let i = 0; i < rows; i++) {
    const at = row + i
    const out = args.out + ((<usize>at * args.outStride + column) << 2)
    const multiply = args.multiply
      ? rowAt(args.multiply, args.multiplyStride, args.multiplyFrame, args.frameRows, at) +
        ((<usize>column) << 2)
      : 0
    const add = args.add
      ? rowAt(args.add, args.addStride, args.addFrame, args.frameRows, at) + ((<usize>column) << 2)
      : 0
    const table = args.table
      ? args.table + ((<usize>(at % args.tableRows) * args.n + column) << 2)
      : 0
    let j = 0
    while (j < columns) {
      const o = (<usize>j) << 2
      if (j + 4 <= columns && (j + 4 <= activated || j >= activated)) {
        let v = v128.load(c + o)
        if (j < activated) v = activate(args.activation, v)
        if (multiply) v = f32x4.mul(v, v128.load(multiply + o))
        if (add) v = f32x4.add(v, v128.load(add + o))
        if (table) v = f32x4.add(v, v128.load(table + o))
        v128.store(out + o, v)
        j += 4
      } else {
        let v = load<f32>(c + o)
        if (j < activated) v = first(activate(args.activation, f32x4.splat(v)))
        if (multiply) v *= load<f32>(multiply + o)
        if (add) v += load<f32>(add + o)
        if (table) v += load<f32>(table + o)
        store<f32>(out + o, v)
        j++
      }
    }
    c += ldc
  }
}

// @ts-ignore: decorator
@inline
function activate(activation: i32, v: v128): v128 {
  if (activation == GELU) return gelu(v)
  if (activation == TANH) return tanh(v)
  return v
}
