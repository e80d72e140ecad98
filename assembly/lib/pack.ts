import { GROUP, OFFSET } from './quantize'
import { PANEL } from './target'

/**
 * Packs float32 values into panels.
 *
 * The source is a row-major array [blocks, rows, width]. Its `count` elements from `first` on go to
 * the columns at..at+width−1 of a weight [blocks, rows, columns], whose panels are [blocks,
 * ⌈columns/8⌉, rows, 8].
 */
export function packPanels(
  to: usize,
  from: usize,
  first: i32,
  count: i32,
  rows: i32,
  width: i32,
  columns: i32,
  at: i32,
): void {
  const panels = (columns + PANEL - 1) / PANEL
  let line = first / width
  let column = first % width
  while (count > 0) {
    const block = line / rows
    const row = line % rows
    const end = min(width, column + count)
    count -= end - column
    while (column < end) {
      const target = at + column
      const p =
        to +
        ((<usize>((block * panels + target / PANEL) * rows + row) * PANEL + (target % PANEL)) << 2)
      if (target % PANEL == 0 && column + PANEL <= end) {
        const left = v128.load(from),
          right = v128.load(from, 16)
        ;(v128.store(p, right, 16), v128.store(p, left))
        column += PANEL
        from += PANEL << 2
      } else {
        store<f32>(p, load<f32>(from))
        column++
        from += 4
      }
    }
    column = 0
    line++
  }
}

/** Packs values as packPanels does, for a weight [blocks·rows, columns] that stays row-major. */
export function packRows(
  to: usize,
  from: usize,
  first: i32,
  count: i32,
  width: i32,
  columns: i32,
  at: i32,
): void {
  let line = first / width
  let column = first % width
  while (count > 0) {
    const run = min(width - column, count)
    memory.copy(to + ((<usize>(line * columns + at + column)) << 2), from, (<usize>run) << 2)
    from += (<usize>run) << 2
    count -= run
    column = 0
    line++
  }
}

/**
 * Packs int8 values as packPanels does. The panels are [blocks, ⌈columns/8⌉, ⌈rows/GROUP⌉, 8], in
 * lanes of GROUP values (lib/quantize.ts).
 */
export function packInt8(
  to: usize,
  from: usize,
  first: i32,
  count: i32,
  rows: i32,
  width: i32,
  columns: i32,
  at: i32,
): void {
  const groups = (rows + GROUP - 1) / GROUP
  const panels = (columns + PANEL - 1) / PANEL
  for (let i = 0; i < count; i++) {
    const line = (first + i) / width
    const panel = (line / rows) * panels
    const row = line % rows
    const column = at + ((first + i) % width)
    const group = (panel + column / PANEL) * groups + row / GROUP
    const lane = to + ((<usize>(group * PANEL + (column % PANEL))) << 2)
    const value = <i32>load<i8>(from + <usize>i) + OFFSET
    if (GROUP == 4) store<i8>(lane + <usize>(row % GROUP), <i8>value)
    else store<i16>(lane + ((<usize>(row % GROUP)) << 1), <i16>value)
  }
}
