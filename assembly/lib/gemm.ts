/**
 * c[rows, 8] = from[rows, 8] + x[rows, k] · w[k, 8] for up to 5 rows: the inner loop of every matrix product.
 *
 * A tile of 5 × 8 holds 10 accumulators in registers; with two registers for w and one for a value of x, 13 of the 16 that x86 has.
 * Each step of k costs 2 loads of w, 5 splat loads of x, 10 multiplications and 10 additions. Of the tiles measured with multiply and
 * add apart, 5 × 8 is the fastest; 6 × 8 and 4 × 16 spill. w comes in panels of 8 columns, k rows of 32 bytes one after another.
 *
 * Every element begins with `from` (a bias, zeros, or the sum over earlier k) and adds over k in order, so results do not depend on
 * tile, block or number of rows.
 */

/** Columns of a panel. */
export const PANEL: i32 = 8
/** Rows of a full tile. */
export const TILE: i32 = 5
/** Eight zeros, for a sum that begins with nothing. */
export const ZEROS: usize = memory.data(PANEL * 4, 16)

/** One tile. Strides are in bytes; that of `from` is 0 when all rows begin alike. */
export function tile(c: usize, ldc: usize, x: usize, ldx: usize, w: usize, k: i32, rows: i32, from: usize, ldf: usize): void {
  if (rows >= TILE) tileOf(5, c, ldc, x, ldx, w, k, from, ldf)
  else if (rows == 4) tileOf(4, c, ldc, x, ldx, w, k, from, ldf)
  else if (rows == 3) tileOf(3, c, ldc, x, ldx, w, k, from, ldf)
  else if (rows == 2) tileOf(2, c, ldc, x, ldx, w, k, from, ldf)
  else tileOf(1, c, ldc, x, ldx, w, k, from, ldf)
}

// @ts-ignore: decorator
@inline
function tileOf(rows: i32, c: usize, ldc: usize, x: usize, ldx: usize, w: usize, k: i32, from: usize, ldf: usize): void {
  let a0 = v128.load(from), b0 = v128.load(from, 16), a1 = a0, b1 = b0, a2 = a0, b2 = b0, a3 = a0, b3 = b0, a4 = a0, b4 = b0
  if (rows > 1) from += ldf, a1 = v128.load(from), b1 = v128.load(from, 16)
  if (rows > 2) from += ldf, a2 = v128.load(from), b2 = v128.load(from, 16)
  if (rows > 3) from += ldf, a3 = v128.load(from), b3 = v128.load(from, 16)
  if (rows > 4) from += ldf, a4 = v128.load(from), b4 = v128.load(from, 16)
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
  if (rows > 1) c += ldc, v128.store(c, a1), v128.store(c, b1, 16)
  if (rows > 2) c += ldc, v128.store(c, a2), v128.store(c, b2, 16)
  if (rows > 3) c += ldc, v128.store(c, a3), v128.store(c, b3, 16)
  if (rows > 4) c += ldc, v128.store(c, a4), v128.store(c, b4, 16)
}
