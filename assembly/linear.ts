/**
 * out[i, j] = f(Σ_k x[i, k]·kernel[k, j] + bias[j]) · multiply[i, j] + add[i, j] + table[i mod tableRows, j]
 *
 * x [rows, k], out, multiply and add [rows, n], each with its own stride; f acts on columns 0..activated−1. kernel in panels of 8
 * columns, [⌈n/8⌉, k, 8], zero where there is no column; bias [n], readable up to a multiple of 8; table [tableRows, n].
 *
 * A block of 200 rows × 512 k of x (400 KB) stays in the second-level cache while the panels pass by; 512 rows of a panel (16 KB) and
 * five rows of x (10 KB) stay in the first while the tiles walk down the block. Sums begin with the bias; those over more than one block
 * of k rest in `out`. A unit of work is a panel.
 */
import { PANEL, TILE, tile, ZEROS } from './lib/gemm'
import { first, gelu, tanh } from './lib/math'

const BLOCK_ROWS: i32 = 200
const BLOCK_K: i32 = 512
/** Values of `activation`. */
const GELU: i32 = 1
const TANH: i32 = 2

/** Where the last panel is computed when n is not a multiple of 8. */
const edge = memory.data(BLOCK_ROWS * PANEL * 4, 16)

@unmanaged
export class LinearArgs {
  out: usize
  outStride: i32
  x: usize
  xStride: i32
  multiply: usize
  multiplyStride: i32
  add: usize
  addStride: i32
  kernel: usize
  bias: usize
  table: usize
  tableRows: i32
  rows: i32
  k: i32
  n: i32
  activation: i32
  activated: i32
}

export function linear(args: LinearArgs, begin: i32, end: i32): void {
  const whole = min(end, args.n / PANEL)
  for (let row = 0; row < args.rows; row += BLOCK_ROWS) {
    const rows = min(BLOCK_ROWS, args.rows - row)
    const out = args.out + ((<usize>row * args.outStride) << 2)
    const outStride = <usize>args.outStride << 2
    for (let k = 0; k < args.k; k += BLOCK_K) {
      for (let panel = begin; panel < whole; panel++) {
        const at = out + (<usize>panel << 5)
        products(args, at, outStride, row, rows, panel, k)
        if (k + BLOCK_K >= args.k) finish(args, at, outStride, row, rows, panel * PANEL, PANEL)
      }
    }
    if (end > whole) {
      // The last panel has fewer than 8 columns: beside the matrix, then only those are copied.
      for (let k = 0; k < args.k; k += BLOCK_K) products(args, edge, PANEL << 2, row, rows, whole, k)
      const columns = args.n - whole * PANEL
      const at = out + (<usize>whole << 5)
      for (let i = 0; i < rows; i++) memory.copy(at + <usize>i * outStride, edge + (<usize>i << 5), <usize>columns << 2)
      finish(args, at, outStride, row, rows, whole * PANEL, columns)
    }
  }
}

/** c[rows, 8] = (bias, or c for k > 0) + x[row.., k..k+512] · kernel[k..k+512, panel]. */
function products(args: LinearArgs, c: usize, ldc: usize, row: i32, rows: i32, panel: i32, k: i32): void {
  const ldx = <usize>args.xStride << 2
  const x = args.x + <usize>row * ldx + (<usize>k << 2)
  const w = args.kernel + ((<usize>panel * args.k + k) << 5)
  const count = min(BLOCK_K, args.k - k)
  const bias = args.bias ? args.bias + (<usize>panel << 5) : ZEROS
  for (let i = 0; i < rows; i += TILE) {
    const at = c + <usize>i * ldc
    tile(at, ldc, x + <usize>i * ldx, ldx, w, count, rows - i, k ? at : bias, k ? ldc : 0)
  }
}

/** Activation, product, sum and table over c[rows, columns], which stands at [row, column] of out. */
function finish(args: LinearArgs, c: usize, ldc: usize, row: i32, rows: i32, column: i32, columns: i32): void {
  if (!args.activation && !args.multiply && !args.add && !args.table) return
  for (let i = 0; i < rows; i++) {
    const at = row + i
    const multiply = args.multiply ? args.multiply + ((<usize>at * args.multiplyStride + column) << 2) : 0
    const add = args.add ? args.add + ((<usize>at * args.addStride + column) << 2) : 0
    const table = args.table ? args.table + ((<usize>(at % args.tableRows) * args.n + column) << 2) : 0
    const activated = min(max(args.activated - column, 0), columns)
    let j = 0
    while (j < columns) {
      const p = c + <usize>i * ldc + (<usize>j << 2)
      const o = <usize>j << 2
      if (j + 4 <= columns && (j + 4 <= activated || j >= activated)) {
        let v = v128.load(p)
        if (j < activated) v = activate(args.activation, v)
        if (multiply) v = f32x4.mul(v, v128.load(multiply + o))
        if (add) v = f32x4.add(v, v128.load(add + o))
        if (table) v = f32x4.add(v, v128.load(table + o))
        v128.store(p, v)
        j += 4
      } else {
        let v = load<f32>(p)
        if (j < activated) v = first(activate(args.activation, f32x4.splat(v)))
        if (multiply) v *= load<f32>(multiply + o)
        if (add) v += load<f32>(add + o)
        if (table) v += load<f32>(table + o)
        store<f32>(p, v)
        j++
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function activate(activation: i32, v: v128): v128 {
  if (activation == GELU) return gelu(v)
  if (activation == TANH) return tanh(v)
  return v
}
