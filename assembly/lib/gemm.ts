/**
 * c[rows, 8] (+)= x[rows, k] · w[k, 8] for up to 5 rows: the inner loop of every matrix product.
 *
 * A tile of 5 × 8 holds 10 accumulators in registers; with two registers for w and one for a value of x, 13 of the 16 that x86 has.
 * Each step of k costs 2 loads of w, 5 splat loads of x, 10 multiplications and 10 additions. Of the tiles measured with multiply and
 * add apart, 5 × 8 is the fastest; 6 × 8 and 4 × 16 spill. w comes in panels of 8 columns, k rows of 32 bytes one after another.
 *
 * Every element sums over k in order, so results do not depend on tile, block or number of rows.
 */

/** Columns of a panel. */
export const PANEL: i32 = 8
/** Rows of a full tile. */
export const TILE: i32 = 5

/**
 * One tile. Strides are in bytes; with `more`, c holds the sum over earlier k.
 */
export function tile(c: usize, ldc: usize, x: usize, ldx: usize, w: usize, k: i32, rows: i32, more: bool): void {
  if (rows >= TILE) tileOf(5, c, ldc, x, ldx, w, k, more)
  else if (rows == 4) tileOf(4, c, ldc, x, ldx, w, k, more)
  else if (rows == 3) tileOf(3, c, ldc, x, ldx, w, k, more)
  else if (rows == 2) tileOf(2, c, ldc, x, ldx, w, k, more)
  else tileOf(1, c, ldc, x, ldx, w, k, more)
}

// @ts-ignore: decorator
@inline
function tileOf(rows: i32, c: usize, ldc: usize, x: usize, ldx: usize, w: usize, k: i32, more: bool): void {
  const zero = f32x4.splat(0)
  let a0 = zero, b0 = zero, a1 = zero, b1 = zero, a2 = zero, b2 = zero, a3 = zero, b3 = zero, a4 = zero, b4 = zero
  const c1 = c + ldc, c2 = c1 + ldc, c3 = c2 + ldc, c4 = c3 + ldc
  if (more) {
    a0 = v128.load(c), b0 = v128.load(c, 16)
    if (rows > 1) a1 = v128.load(c1), b1 = v128.load(c1, 16)
    if (rows > 2) a2 = v128.load(c2), b2 = v128.load(c2, 16)
    if (rows > 3) a3 = v128.load(c3), b3 = v128.load(c3, 16)
    if (rows > 4) a4 = v128.load(c4), b4 = v128.load(c4, 16)
  }
  let x0 = x, x1 = x0 + ldx, x2 = x1 + ldx, x3 = x2 + ldx, x4 = x3 + ldx
  const unrolled = w + ((<usize>k >> 2) << 7)
  while (w < unrolled) {
    // Four steps of k: pointers move once, each step has its offset in the instruction.
    let wa = v128.load(w), wb = v128.load(w, 16)
    let s = v128.load_splat<f32>(x0)
    a0 = f32x4.add(a0, f32x4.mul(s, wa)), b0 = f32x4.add(b0, f32x4.mul(s, wb))
    if (rows > 1) s = v128.load_splat<f32>(x1), a1 = f32x4.add(a1, f32x4.mul(s, wa)), b1 = f32x4.add(b1, f32x4.mul(s, wb))
    if (rows > 2) s = v128.load_splat<f32>(x2), a2 = f32x4.add(a2, f32x4.mul(s, wa)), b2 = f32x4.add(b2, f32x4.mul(s, wb))
    if (rows > 3) s = v128.load_splat<f32>(x3), a3 = f32x4.add(a3, f32x4.mul(s, wa)), b3 = f32x4.add(b3, f32x4.mul(s, wb))
    if (rows > 4) s = v128.load_splat<f32>(x4), a4 = f32x4.add(a4, f32x4.mul(s, wa)), b4 = f32x4.add(b4, f32x4.mul(s, wb))
    wa = v128.load(w, 32), wb = v128.load(w, 48)
    s = v128.load_splat<f32>(x0, 4)
    a0 = f32x4.add(a0, f32x4.mul(s, wa)), b0 = f32x4.add(b0, f32x4.mul(s, wb))
    if (rows > 1) s = v128.load_splat<f32>(x1, 4), a1 = f32x4.add(a1, f32x4.mul(s, wa)), b1 = f32x4.add(b1, f32x4.mul(s, wb))
    if (rows > 2) s = v128.load_splat<f32>(x2, 4), a2 = f32x4.add(a2, f32x4.mul(s, wa)), b2 = f32x4.add(b2, f32x4.mul(s, wb))
    if (rows > 3) s = v128.load_splat<f32>(x3, 4), a3 = f32x4.add(a3, f32x4.mul(s, wa)), b3 = f32x4.add(b3, f32x4.mul(s, wb))
    if (rows > 4) s = v128.load_splat<f32>(x4, 4), a4 = f32x4.add(a4, f32x4.mul(s, wa)), b4 = f32x4.add(b4, f32x4.mul(s, wb))
    wa = v128.load(w, 64), wb = v128.load(w, 80)
    s = v128.load_splat<f32>(x0, 8)
    a0 = f32x4.add(a0, f32x4.mul(s, wa)), b0 = f32x4.add(b0, f32x4.mul(s, wb))
    if (rows > 1) s = v128.load_splat<f32>(x1, 8), a1 = f32x4.add(a1, f32x4.mul(s, wa)), b1 = f32x4.add(b1, f32x4.mul(s, wb))
    if (rows > 2) s = v128.load_splat<f32>(x2, 8), a2 = f32x4.add(a2, f32x4.mul(s, wa)), b2 = f32x4.add(b2, f32x4.mul(s, wb))
    if (rows > 3) s = v128.load_splat<f32>(x3, 8), a3 = f32x4.add(a3, f32x4.mul(s, wa)), b3 = f32x4.add(b3, f32x4.mul(s, wb))
    if (rows > 4) s = v128.load_splat<f32>(x4, 8), a4 = f32x4.add(a4, f32x4.mul(s, wa)), b4 = f32x4.add(b4, f32x4.mul(s, wb))
    wa = v128.load(w, 96), wb = v128.load(w, 112)
    s = v128.load_splat<f32>(x0, 12)
    a0 = f32x4.add(a0, f32x4.mul(s, wa)), b0 = f32x4.add(b0, f32x4.mul(s, wb))
    if (rows > 1) s = v128.load_splat<f32>(x1, 12), a1 = f32x4.add(a1, f32x4.mul(s, wa)), b1 = f32x4.add(b1, f32x4.mul(s, wb))
    if (rows > 2) s = v128.load_splat<f32>(x2, 12), a2 = f32x4.add(a2, f32x4.mul(s, wa)), b2 = f32x4.add(b2, f32x4.mul(s, wb))
    if (rows > 3) s = v128.load_splat<f32>(x3, 12), a3 = f32x4.add(a3, f32x4.mul(s, wa)), b3 = f32x4.add(b3, f32x4.mul(s, wb))
    if (rows > 4) s = v128.load_splat<f32>(x4, 12), a4 = f32x4.add(a4, f32x4.mul(s, wa)), b4 = f32x4.add(b4, f32x4.mul(s, wb))
    w += 128
    x0 += 16
    if (rows > 1) x1 += 16
    if (rows > 2) x2 += 16
    if (rows > 3) x3 += 16
    if (rows > 4) x4 += 16
  }
  for (let left = k & 3; left > 0; left--) {
    const wa = v128.load(w), wb = v128.load(w, 16)
    let s = v128.load_splat<f32>(x0)
    a0 = f32x4.add(a0, f32x4.mul(s, wa)), b0 = f32x4.add(b0, f32x4.mul(s, wb))
    if (rows > 1) s = v128.load_splat<f32>(x1), a1 = f32x4.add(a1, f32x4.mul(s, wa)), b1 = f32x4.add(b1, f32x4.mul(s, wb))
    if (rows > 2) s = v128.load_splat<f32>(x2), a2 = f32x4.add(a2, f32x4.mul(s, wa)), b2 = f32x4.add(b2, f32x4.mul(s, wb))
    if (rows > 3) s = v128.load_splat<f32>(x3), a3 = f32x4.add(a3, f32x4.mul(s, wa)), b3 = f32x4.add(b3, f32x4.mul(s, wb))
    if (rows > 4) s = v128.load_splat<f32>(x4), a4 = f32x4.add(a4, f32x4.mul(s, wa)), b4 = f32x4.add(b4, f32x4.mul(s, wb))
    w += 32
    x0 += 4, x1 += 4, x2 += 4, x3 += 4, x4 += 4
  }
  v128.store(c, a0), v128.store(c, b0, 16)
  if (rows > 1) v128.store(c1, a1), v128.store(c1, b1, 16)
  if (rows > 2) v128.store(c2, a2), v128.store(c2, b2, 16)
  if (rows > 3) v128.store(c3, a3), v128.store(c3, b3, 16)
  if (rows > 4) v128.store(c4, a4), v128.store(c4, b4, 16)
}
