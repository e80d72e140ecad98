/**
 * Tiles of a matrix product: c[rows, 8 or 16] = from[rows, 8 or 16] + x[rows, k]·w[k, 8 or 16].
 * lib/tile.mjs generates the inner loop, and explains the sizes of the tiles.
 */
import { tileOf } from '../../build/tile'
import { DOTS, F32, INT8, INT8_SPLIT, WIDE } from './target'

/**
 * Computes a tile of float32. Strides are in bytes.
 * @param next bytes from w to the next panel, for a tile of 16 columns (WIDE builds only); 0 for a
 * tile of 8
 * @param rows remaining rows; the tile computes at most TILE of them
 * @param ldf stride of `from`; 0 if all rows start with the same values
 * @param ahead address of 2·k bytes that a later tile needs. Each turn of the loop loads a few of
 * them, which brings them into the cache.
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
  if (WIDE && next) tileFor(F32, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(F32, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

/**
 * Computes a tile of quantised values (lib/quantize.ts): k counts lanes of 32 bits, c and `from`
 * are int32. A tile has at most int8Rows() rows.
 */
export function int8Tile(
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
  else if (WIDE && next) tileFor(INT8, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(INT8, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

/**
 * The INT8_SPLIT variant of int8Tile. It is a function of its own because Binaryen takes minutes
 * for a function with twice as many locals.
 */
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
    tileFor(INT8_SPLIT, true, c, ldc, x, ldx, w, w + next, k, rows, from, ldf, ahead)
  else tileFor(INT8_SPLIT, false, c, ldc, x, ldx, w, 0, k, rows, from, ldf, ahead)
}

/** Picks the inner loop for the number of rows. */
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
  if (ASC_FEATURE_RELAXED_SIMD && kind != INT8_SPLIT && rows >= 6)
    tileOf(kind, wide, 6, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows >= 5) tileOf(kind, wide, 5, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 4) tileOf(kind, wide, 4, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 3) tileOf(kind, wide, 3, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else if (rows == 2) tileOf(kind, wide, 2, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
  else tileOf(kind, wide, 1, c, ldc, x, ldx, w, v, k, from, ldf, ahead)
}

/**
 * Returns the size of a block when `size` rows or columns are split into `blocks` blocks. The size
 * is a multiple of `multiple`.
 */
// @ts-ignore: decorator
@inline
export function blockOf(size: i32, blocks: i32, multiple: i32): i32 {
  return ((size + blocks * multiple - 1) / (blocks * multiple)) * multiple
}
