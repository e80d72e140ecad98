/**
 * c[rows, 8 or 16] = from[rows, 8 or 16] + x[rows, k] · w[k, 8 or 16] for up to TILE rows: the
 * inner loop of every matrix product.
 *
 * Each step of k costs a splat load of x for each row, and a load of w and a multiply-add for each
 * four columns. x86 has 16 registers:
 *
 *   build                     tile     sums  w  x  product
 *   simd                      5 × 8      10  2  1        1    multiplication and addition apart, rounded twice; 6 × 8 spills
 *   relaxed                   6 × 8      12  2  1             fused, rounded once
 *   wide, wide-relaxed     TILE × 16                          the same, once V8 has made one instruction of 256 bits of each two of 128; it
 *                                                             pairs nothing across a block, so what is chosen at compile time is chosen by ?:
 *
 * w comes in panels of 8 columns, k rows of 32 bytes one after another; 16 columns are two panels.
 *
 * Operations must reach the registers in the order in which they stand here. Whoever moves the sums
 * of several steps together needs the w of all at once, spills, and loses a quarter to a half of
 * the speed. Binaryen does so when it simplifies locals, so that asconfig.json has a list of passes
 * without that; engines that do so get one step at a time (UNROLLS).
 *
 * Where V8 makes one store of two, in this file and others, the upper half comes first: it would
 * store a lower half that comes first by itself, too.
 *
 * Every element begins with `from` (a bias, zeros, or the sum over earlier k) and adds over k in
 * order, so results do not depend on tile, block or number of rows, and `wide` has the bits of
 * `simd`.
 */

/** True in the builds for V8's revectorisation (asconfig.json). */
// @ts-ignore: a constant of the compiler's command line
export const WIDE: bool = isDefined(PAIRS)
/** Columns of a panel. */
export const PANEL: i32 = 8
/** Rows of a full tile. */
export const TILE: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 5
/** Sixteen zeros, for sums that begin with nothing. */
export const ZEROS: usize = memory.data(2 * PANEL * 4, 16)
/** Eight ones, of 16 bits. */
const ONES: usize = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1], 16)
/**
 * Whether this engine keeps the order of eight steps of k in one turn of a loop (platform.ts);
 * those that can run the wide builds do.
 */
// @ts-ignore: decorator
@external('env', 'unrolls')
declare const UNROLLS: bool
/**
 * Whether the dot product of 8 bits with a sum is one instruction here (probes.ts), or one of 16
 * bits and one of 32 are better.
 */
// @ts-ignore: decorator
@external('env', 'dots')
declare const DOTS: bool

/**
 * What a tile is made of: float32, or whole numbers, whose dot products are added in one operation,
 * or in two.
 */
const FLOATS: i32 = 0
const WHOLES: i32 = 1
const SPLIT_WHOLES: i32 = 2

/**
 * One tile of float32. Strides are in bytes; that of `from` is 0 when all rows begin alike.
 * @param next bytes from w to the panel beside it, of which the tile then takes 8 columns more,
 * only in WIDE builds; or 0
 * @param ahead 2·k bytes that will be wanted later: read now, a few at a time, they come from
 * memory while there is something to compute
 */
export function tile(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  next: usize,
  k: i32,
  rows: i32,
  from: usize,
  ldf: usize,
  ahead: usize,
): void {
  if (WIDE && next) tileFor(FLOATS, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(FLOATS, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

/**
 * Rows of a full tile of whole numbers: ones, and what is between the two operations, take the
 * registers of a row.
 */
// @ts-ignore: decorator
@inline
export function wholeRows(): i32 {
  return ASC_FEATURE_RELAXED_SIMD && !DOTS ? 5 : TILE
}

/** The same of whole numbers: k counts lanes, c and from are int32. */
export function wholeTile(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  next: usize,
  k: i32,
  rows: i32,
  from: usize,
  ldf: usize,
  ahead: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD && !DOTS)
    splitTile(c, ldc, x, ldx, w, next, k, rows, from, ldf, ahead)
  else if (WIDE && next)
    tileFor(WHOLES, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(WHOLES, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

/** A function of its own: Binaryen takes minutes for the locals of one twice as large. */
function splitTile(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  next: usize,
  k: i32,
  rows: i32,
  from: usize,
  ldf: usize,
  ahead: usize,
): void {
  if (WIDE && next)
    tileFor(SPLIT_WHOLES, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(SPLIT_WHOLES, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

// @ts-ignore: decorator
@inline
function tileFor(
  kind: i32,
  wide: bool,
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  v: usize,
  k: i32,
  rows: i32,
  from: usize,
  ldf: usize,
  ahead: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD && kind != SPLIT_WHOLES && rows >= 6)
    tileOf(kind, wide, 6, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows >= 5) tileOf(kind, wide, 5, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 4) tileOf(kind, wide, 4, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 3) tileOf(kind, wide, 3, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 2) tileOf(kind, wide, 2, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else tileOf(kind, wide, 1, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
}

/**
 * sum + x·w in each lane: of float32, rounded once in the relaxed builds, where the engine fuses,
 * and twice in the others; of GROUP whole numbers (quantize.ts), exact, x signed and w 0..127 in
 * the relaxed builds.
 */
// @ts-ignore: decorator
@inline
function madd(kind: i32, x: v128, w: v128, sum: v128, ones: v128): v128 {
  return kind == FLOATS
    ? ASC_FEATURE_RELAXED_SIMD
      ? f32x4.relaxed_madd(x, w, sum)
      : f32x4.add(sum, f32x4.mul(x, w))
    : ASC_FEATURE_RELAXED_SIMD
      ? kind == WHOLES
        ? i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum)
        : i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(x, w), ones))
      : i32x4.add(sum, i32x4.dot_i16x8_s(x, w))
}

/**
 * A wide tile takes 8 columns more, of the panel v: V8 pairs what stands side by side, a with b,
 * and c with d.
 */
// @ts-ignore: decorator
@inline
function tileOf(
  kind: i32,
  wide: bool,
  rows: i32,
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  v: usize,
  k: i32,
  from: usize,
  ldf: usize,
  ahead: usize,
): void {
  let a0 = v128.load(from),
    b0 = v128.load(from, 16),
    c0 = a0,
    d0 = b0
  if (wide) ((c0 = v128.load(from, 32)), (d0 = v128.load(from, 48)))
  let a1 = a0,
    b1 = b0,
    c1 = c0,
    d1 = d0
  let a2 = a0,
    b2 = b0,
    c2 = c0,
    d2 = d0
  let a3 = a0,
    b3 = b0,
    c3 = c0,
    d3 = d0
  let a4 = a0,
    b4 = b0,
    c4 = c0,
    d4 = d0
  let a5 = a0,
    b5 = b0,
    c5 = c0,
    d5 = d0
  if (rows > 1) {
    ;((from += ldf), (a1 = v128.load(from)), (b1 = v128.load(from, 16)))
    if (wide) ((c1 = v128.load(from, 32)), (d1 = v128.load(from, 48)))
  }
  if (rows > 2) {
    ;((from += ldf), (a2 = v128.load(from)), (b2 = v128.load(from, 16)))
    if (wide) ((c2 = v128.load(from, 32)), (d2 = v128.load(from, 48)))
  }
  if (rows > 3) {
    ;((from += ldf), (a3 = v128.load(from)), (b3 = v128.load(from, 16)))
    if (wide) ((c3 = v128.load(from, 32)), (d3 = v128.load(from, 48)))
  }
  if (rows > 4) {
    ;((from += ldf), (a4 = v128.load(from)), (b4 = v128.load(from, 16)))
    if (wide) ((c4 = v128.load(from, 32)), (d4 = v128.load(from, 48)))
  }
  if (rows > 5) {
    ;((from += ldf), (a5 = v128.load(from)), (b5 = v128.load(from, 16)))
    if (wide) ((c5 = v128.load(from, 32)), (d5 = v128.load(from, 48)))
  }
  let x0 = x,
    x1 = x0 + ldx,
    x2 = x1 + ldx,
    x3 = x2 + ldx,
    x4 = x3 + ldx,
    x5 = x4 + ldx
  let wa = a0,
    wb = a0,
    wc = a0,
    wd = a0,
    s = a0
  const ones = v128.load(ONES)
  let left = k
  if (WIDE || UNROLLS) {
    left &= 7
    const unrolled = w + (((<usize>k) >> 3) << 8)
    while (w < unrolled) {
      ;((wa = v128.load(w)), (wb = v128.load(w, 16)))
      if (wide) ((wc = v128.load(v)), (wd = v128.load(v, 16)))
      ;((s = v128.load_splat<f32>(x0)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 32)), (wb = v128.load(w, 48)))
      if (wide) ((wc = v128.load(v, 32)), (wd = v128.load(v, 48)))
      ;((s = v128.load_splat<f32>(x0, 4)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 4)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 4)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 4)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 4)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 4)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 64)), (wb = v128.load(w, 80)))
      if (wide) ((wc = v128.load(v, 64)), (wd = v128.load(v, 80)))
      ;((s = v128.load_splat<f32>(x0, 8)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 8)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 8)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 8)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 8)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 8)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 96)), (wb = v128.load(w, 112)))
      if (wide) ((wc = v128.load(v, 96)), (wd = v128.load(v, 112)))
      ;((s = v128.load_splat<f32>(x0, 12)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 12)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 12)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 12)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 12)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 12)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 128)), (wb = v128.load(w, 144)))
      if (wide) ((wc = v128.load(v, 128)), (wd = v128.load(v, 144)))
      ;((s = v128.load_splat<f32>(x0, 16)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 16)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 16)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 16)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 16)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 16)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 160)), (wb = v128.load(w, 176)))
      if (wide) ((wc = v128.load(v, 160)), (wd = v128.load(v, 176)))
      ;((s = v128.load_splat<f32>(x0, 20)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 20)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 20)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 20)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 20)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 20)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 192)), (wb = v128.load(w, 208)))
      if (wide) ((wc = v128.load(v, 192)), (wd = v128.load(v, 208)))
      ;((s = v128.load_splat<f32>(x0, 24)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 24)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 24)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 24)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 24)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 24)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;((wa = v128.load(w, 224)), (wb = v128.load(w, 240)))
      if (wide) ((wc = v128.load(v, 224)), (wd = v128.load(v, 240)))
      ;((s = v128.load_splat<f32>(x0, 28)),
        (a0 = madd(kind, s, wa, a0, ones)),
        (b0 = madd(kind, s, wb, b0, ones)))
      if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
      if (rows > 1) {
        ;((s = v128.load_splat<f32>(x1, 28)),
          (a1 = madd(kind, s, wa, a1, ones)),
          (b1 = madd(kind, s, wb, b1, ones)))
        if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
      }
      if (rows > 2) {
        ;((s = v128.load_splat<f32>(x2, 28)),
          (a2 = madd(kind, s, wa, a2, ones)),
          (b2 = madd(kind, s, wb, b2, ones)))
        if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
      }
      if (rows > 3) {
        ;((s = v128.load_splat<f32>(x3, 28)),
          (a3 = madd(kind, s, wa, a3, ones)),
          (b3 = madd(kind, s, wb, b3, ones)))
        if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
      }
      if (rows > 4) {
        ;((s = v128.load_splat<f32>(x4, 28)),
          (a4 = madd(kind, s, wa, a4, ones)),
          (b4 = madd(kind, s, wb, b4, ones)))
        if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
      }
      if (rows > 5) {
        ;((s = v128.load_splat<f32>(x5, 28)),
          (a5 = madd(kind, s, wa, a5, ones)),
          (b5 = madd(kind, s, wb, b5, ones)))
        if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
      }
      ;(load<u64>(ahead), (ahead += 16))
      w += 256
      if (wide) v += 256
      x0 += 32
      if (rows > 1) x1 += 32
      if (rows > 2) x2 += 32
      if (rows > 3) x3 += 32
      if (rows > 4) x4 += 32
      if (rows > 5) x5 += 32
    }
  }
  for (; left > 0; left--) {
    ;((wa = v128.load(w)), (wb = v128.load(w, 16)))
    if (wide) ((wc = v128.load(v)), (wd = v128.load(v, 16)))
    ;((s = v128.load_splat<f32>(x0)),
      (a0 = madd(kind, s, wa, a0, ones)),
      (b0 = madd(kind, s, wb, b0, ones)))
    if (wide) ((c0 = madd(kind, s, wc, c0, ones)), (d0 = madd(kind, s, wd, d0, ones)))
    if (rows > 1) {
      ;((s = v128.load_splat<f32>(x1)),
        (a1 = madd(kind, s, wa, a1, ones)),
        (b1 = madd(kind, s, wb, b1, ones)))
      if (wide) ((c1 = madd(kind, s, wc, c1, ones)), (d1 = madd(kind, s, wd, d1, ones)))
    }
    if (rows > 2) {
      ;((s = v128.load_splat<f32>(x2)),
        (a2 = madd(kind, s, wa, a2, ones)),
        (b2 = madd(kind, s, wb, b2, ones)))
      if (wide) ((c2 = madd(kind, s, wc, c2, ones)), (d2 = madd(kind, s, wd, d2, ones)))
    }
    if (rows > 3) {
      ;((s = v128.load_splat<f32>(x3)),
        (a3 = madd(kind, s, wa, a3, ones)),
        (b3 = madd(kind, s, wb, b3, ones)))
      if (wide) ((c3 = madd(kind, s, wc, c3, ones)), (d3 = madd(kind, s, wd, d3, ones)))
    }
    if (rows > 4) {
      ;((s = v128.load_splat<f32>(x4)),
        (a4 = madd(kind, s, wa, a4, ones)),
        (b4 = madd(kind, s, wb, b4, ones)))
      if (wide) ((c4 = madd(kind, s, wc, c4, ones)), (d4 = madd(kind, s, wd, d4, ones)))
    }
    if (rows > 5) {
      ;((s = v128.load_splat<f32>(x5)),
        (a5 = madd(kind, s, wa, a5, ones)),
        (b5 = madd(kind, s, wb, b5, ones)))
      if (wide) ((c5 = madd(kind, s, wc, c5, ones)), (d5 = madd(kind, s, wd, d5, ones)))
    }
    w += 32
    if (wide) v += 32
    x0 += 4
    if (rows > 1) x1 += 4
    if (rows > 2) x2 += 4
    if (rows > 3) x3 += 4
    if (rows > 4) x4 += 4
    if (rows > 5) x5 += 4
  }
  ;(v128.store(c, b0, 16), v128.store(c, a0))
  if (wide) (v128.store(c, d0, 48), v128.store(c, c0, 32))
  if (rows > 1) {
    ;((c += ldc), v128.store(c, b1, 16), v128.store(c, a1))
    if (wide) (v128.store(c, d1, 48), v128.store(c, c1, 32))
  }
  if (rows > 2) {
    ;((c += ldc), v128.store(c, b2, 16), v128.store(c, a2))
    if (wide) (v128.store(c, d2, 48), v128.store(c, c2, 32))
  }
  if (rows > 3) {
    ;((c += ldc), v128.store(c, b3, 16), v128.store(c, a3))
    if (wide) (v128.store(c, d3, 48), v128.store(c, c3, 32))
  }
  if (rows > 4) {
    ;((c += ldc), v128.store(c, b4, 16), v128.store(c, a4))
    if (wide) (v128.store(c, d4, 48), v128.store(c, c4, 32))
  }
  if (rows > 5) {
    ;((c += ldc), v128.store(c, b5, 16), v128.store(c, a5))
    if (wide) (v128.store(c, d5, 48), v128.store(c, c5, 32))
  }
}

/** The size of so many blocks, a multiple of `whole`. */
// @ts-ignore: decorator
@inline
export function blockOf(size: i32, blocks: i32, whole: i32): i32 {
  return ((size + blocks * whole - 1) / (blocks * whole)) * whole
}
