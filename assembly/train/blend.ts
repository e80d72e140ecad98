/**
 * Changes a weight in place, with rates = [keep, share]:
 *
 *     value = keep·value + share·x
 *     out = norm
 *
 * Shapes: x [blocks·k, n]; rates [2]; norm and out [1]. value is a matrix in panels of 8 columns,
 * [blocks, ⌈n/8⌉, k, 8], or rows [blocks·k, n].
 *
 * If norm is NaN or infinite, nothing is changed. With keep = 0 the old value counts for nothing.
 * Columns of a panel beyond n keep their zeros.
 *
 * A unit of work is two panels of a matrix, whose rows of x share cache lines, or a row.
 */
import { BlendArgs } from '../../build/train/operations'
import { first, madd } from '../lib/math'
import { rowAt } from '../lib/rows'
import { PANEL } from '../lib/target'

/** Panels of a unit (STRIP in src/program/ops/train/weights.ts). */
const PANELS: i32 = 2
/** Rows of a panel before the other one has its turn: their rows of x stay in the L1 cache. */
const ROWS: i32 = 64

export function blend(args: BlendArgs, begin: i32, end: i32): void {
  const norm = load<f32>(args.norm)
  if (begin == 0) store<f32>(args.out, norm)
  // Neither NaN nor an infinity equals 0 here.
  if (norm - norm != 0) return
  for (let unit = begin; unit < end; unit++) {
    if (args.matrix) blendPanels(args, unit)
    else blendRows(args, unit, unit + 1, 0, args.n, (<usize>unit * args.n) << 2)
  }
}

function blendPanels(args: BlendArgs, unit: i32): void {
  const panels = (args.n + PANEL - 1) / PANEL
  const units = (panels + PANELS - 1) / PANELS
  const block = unit / units
  const from = (unit % units) * PANELS
  const to = min(from + PANELS, panels)
  for (let row = 0; row < args.k; row += ROWS) {
    const end = min(row + ROWS, args.k)
    for (let panel = from; panel < to; panel++) {
      const column = panel * PANEL
      const at = (<usize>((block * panels + panel) * args.k + row) * PANEL) << 2
      const top = block * args.k
      blendRows(args, top + row, top + end, column, min(PANEL, args.n - column), at)
    }
  }
}

/**
 * Blends the elements of some rows of x.
 * @param row the rows row..end−1
 * @param column the columns column..column+columns−1
 * @param at bytes from the start of the weight to the first element; the next row is a row of a
 * panel further
 */
function blendRows(
  args: BlendArgs,
  row: i32,
  end: i32,
  column: i32,
  columns: i32,
  at: usize,
): void {
  const bytes = (<usize>columns) << 2
  const vectors = bytes & ~15
  const keep = v128.load_splat<f32>(args.rates)
  const share = v128.load_splat<f32>(args.rates, 4)
  const keeps = load<f32>(args.rates) != 0
  for (; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row) + ((<usize>column) << 2)
    const value = args.value + at
    for (let i: usize = 0; i < vectors; i += 16) {
      const part = f32x4.mul(share, v128.load(x + i))
      v128.store(value + i, keeps ? madd(keep, v128.load(value + i), part) : part)
    }
    for (let i = vectors; i < bytes; i += 4) {
      const part = f32x4.mul(share, v128.load_splat<f32>(x + i))
      const sum = keeps ? madd(keep, v128.load_splat<f32>(value + i), part) : part
      store<f32>(value + i, first(sum))
    }
    at += PANEL << 2
  }
}
