/**
 * A step of AdamW, in place. With rates = [lr, b1, b2, c1, c2, eps, decay, clip] and
 * g = gradient · clip / norm if clip > 0 and norm ≥ clip, else g = gradient:
 *
 *     m = b1·m + (1 − b1)·g
 *     v = b2·v + (1 − b2)·g²
 *     value = value − lr·(c1·m / (√(c2·v) + eps) + decay·value)
 *     out = norm
 *
 * Shapes: gradient [blocks·k, n]; rates [8]; norm and out [1]. value, m and v are weights of the
 * same layout: matrices in panels of 8 columns, [blocks, ⌈n/8⌉, k, 8], or rows [blocks·k, n].
 *
 * If norm is NaN or infinite, nothing is changed. Columns of a panel beyond n keep their zeros.
 *
 * A unit of work is two panels of a matrix, whose gradients share cache lines, or a row.
 */
import { AdamWArgs } from '../../build/train/operations'
import { first, madd } from '../lib/math'
import { rowAt } from '../lib/rows'
import { PANEL } from '../lib/target'

/** Panels of a unit (STRIP in src/program/ops/train/weights.ts). */
const PANELS: i32 = 2
/**
 * Rows of one panel that are updated before those of the other panel. Their gradients stay in the
 * L1 cache.
 */
const ROWS: i32 = 64

export function adamW(args: AdamWArgs, begin: i32, end: i32): void {
  const norm = load<f32>(args.norm)
  if (begin == 0) store<f32>(args.out, norm)
  // Neither NaN nor an infinity equals 0 here.
  if (norm - norm != 0) return
  const clip = load<f32>(args.rates, 28)
  const factor: f32 = clip > 0 && norm >= clip ? clip / norm : 1
  for (let unit = begin; unit < end; unit++) {
    if (args.matrix) updatePanels(args, factor, unit)
    else update(args, factor, unit, unit + 1, 0, args.n, (<usize>unit * args.n) << 2)
  }
}

function updatePanels(args: AdamWArgs, factor: f32, unit: i32): void {
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
      update(args, factor, top + row, top + end, column, min(PANEL, args.n - column), at)
    }
  }
}

/**
 * Updates the elements of some rows of the gradient.
 * @param row the rows row..end−1
 * @param column the columns column..column+columns−1
 * @param at bytes from the start of the weights to the first element. Rows of a panel follow each
 * other.
 */
function update(
  args: AdamWArgs,
  factor: f32,
  row: i32,
  end: i32,
  column: i32,
  columns: i32,
  at: usize,
): void {
  const bytes = (<usize>columns) << 2
  const pairs = bytes & ~31
  const one = f32x4.splat(1)
  const factors = f32x4.splat(factor)
  const lr = v128.load_splat<f32>(args.rates)
  const b1 = v128.load_splat<f32>(args.rates, 4)
  const b2 = v128.load_splat<f32>(args.rates, 8)
  const c1 = v128.load_splat<f32>(args.rates, 12)
  const c2 = v128.load_splat<f32>(args.rates, 16)
  const eps = v128.load_splat<f32>(args.rates, 20)
  const decay = v128.load_splat<f32>(args.rates, 24)
  const rest1 = f32x4.sub(one, b1)
  const rest2 = f32x4.sub(one, b2)
  for (; row < end; row++) {
    const gradient =
      rowAt(args.gradient, args.gradientStride, args.gradientFrame, args.frameRows, row) +
      ((<usize>column) << 2)
    const value = args.value + at
    const m = args.m + at
    const v = args.v + at
    for (let i: usize = 0; i < pairs; i += 32) {
      const g0 = f32x4.mul(v128.load(gradient + i), factors),
        g1 = f32x4.mul(v128.load(gradient + i, 16), factors)
      const m0 = moment(v128.load(m + i), g0, b1, rest1),
        m1 = moment(v128.load(m + i, 16), g1, b1, rest1)
      const v0 = moment(v128.load(v + i), f32x4.mul(g0, g0), b2, rest2),
        v1 = moment(v128.load(v + i, 16), f32x4.mul(g1, g1), b2, rest2)
      const p0 = updated(v128.load(value + i), m0, v0, lr, c1, c2, eps, decay),
        p1 = updated(v128.load(value + i, 16), m1, v1, lr, c1, c2, eps, decay)
      ;(v128.store(m + i, m1, 16), v128.store(m + i, m0))
      ;(v128.store(v + i, v1, 16), v128.store(v + i, v0))
      ;(v128.store(value + i, p1, 16), v128.store(value + i, p0))
    }
    for (let i = pairs; i < bytes; i += 4) {
      const g = f32x4.mul(v128.load_splat<f32>(gradient + i), factors)
      const m0 = moment(v128.load_splat<f32>(m + i), g, b1, rest1)
      const v0 = moment(v128.load_splat<f32>(v + i), f32x4.mul(g, g), b2, rest2)
      const p = updated(v128.load_splat<f32>(value + i), m0, v0, lr, c1, c2, eps, decay)
      store<f32>(m + i, first(m0))
      store<f32>(v + i, first(v0))
      store<f32>(value + i, first(p))
    }
    at += PANEL << 2
  }
}

/** b·moment + (1 − b)·g. */
// @ts-ignore: decorator
@inline
function moment(moment: v128, g: v128, b: v128, rest: v128): v128 {
  return madd(b, moment, f32x4.mul(rest, g))
}

/** value − lr·(c1·m / (√(c2·v) + eps) + decay·value). */
// @ts-ignore: decorator
@inline
function updated(
  value: v128,
  m: v128,
  v: v128,
  lr: v128,
  c1: v128,
  c2: v128,
  eps: v128,
  decay: v128,
): v128 {
  const divisor = f32x4.add(f32x4.sqrt(f32x4.mul(c2, v)), eps)
  const change = madd(decay, value, f32x4.div(f32x4.mul(c1, m), divisor))
  return f32x4.sub(value, f32x4.mul(lr, change))
}
