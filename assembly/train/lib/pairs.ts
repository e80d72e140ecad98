/**
 * Matrix products for gradients. Both operands are packed as lib/gemm.ts wants them, a block at a
 * time: the left one with consecutive k in each row, the right one in panels of 8 columns. Panels
 * come in pairs, 16 columns, which is one tile in the wide builds and a cache line of a row.
 */
import { tile } from '../../lib/gemm'
import { PANEL, TILE, WIDE } from '../../lib/target'

/** Columns of two panels. */
export const PAIR: i32 = 2 * PANEL
/** Bytes of working memory for tiles that have fewer columns than a panel. */
export const EDGE_BYTES: usize = (<usize>TILE) << 5

/**
 * c[rows, columns] = from[rows, columns] + x[rows, k]·w[k, columns]. Strides are in bytes.
 * @param next bytes from a panel of w to the other one
 * @param columns 1 to 16
 * @param ldf stride of `from`; 0 if all rows start with the same values
 * @param edge EDGE_BYTES of working memory
 */
export function pairProduct(
  c: usize,
  ldc: usize,
  x: usize,
  ldx: usize,
  w: usize,
  next: usize,
  k: i32,
  rows: i32,
  columns: i32,
  from: usize,
  ldf: usize,
  edge: usize,
): void {
  const together = WIDE && columns == PAIR
  const step = together ? PAIR : PANEL
  for (let column = 0; column < columns; column += step) {
    const whole = columns - column >= PANEL
    const bytes = (<usize>(columns - column)) << 2
    let to = c + ((<usize>column) << 2),
      start = from + ((<usize>column) << 2),
      left = x
    for (let remaining = rows; remaining > 0; remaining -= TILE) {
      if (whole) tile(to, ldc, left, ldx, w, together ? next : 0, k, remaining, start, ldf, w)
      else {
        const height = min(remaining, TILE)
        for (let i = 0; i < height; i++)
          memory.copy(edge + ((<usize>i) << 5), start + <usize>i * ldf, bytes)
        tile(edge, PANEL << 2, left, ldx, w, 0, k, height, edge, PANEL << 2, w)
        for (let i = 0; i < height; i++)
          memory.copy(to + <usize>i * ldc, edge + ((<usize>i) << 5), bytes)
      }
      to += <usize>TILE * ldc
      start += <usize>TILE * ldf
      left += <usize>TILE * ldx
    }
    w += next
  }
}

/**
 * Writes the transpose of four rows of four elements.
 * @param ldt bytes from one row of the result to the next
 */
// @ts-ignore: decorator
@inline
export function transpose(
  to: usize,
  ldt: usize,
  row0: usize,
  row1: usize,
  row2: usize,
  row3: usize,
): void {
  const a = v128.load(row0),
    b = v128.load(row1),
    c = v128.load(row2),
    d = v128.load(row3)
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5),
    ba = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5),
    dc = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(to + ldt, v128.shuffle<i64>(ab, cd, 1, 3))
  v128.store(to + 2 * ldt, v128.shuffle<i64>(ba, dc, 0, 2))
  v128.store(to + 3 * ldt, v128.shuffle<i64>(ba, dc, 1, 3))
}
