import { PANEL } from './gemm'

/**
 * Puts `count` values, the elements from `first` on of a row-major array [blocks, rows, width], into columns at..at+width−1 of a weight
 * [blocks, rows, columns] in panels [blocks, ⌈columns/8⌉, rows, 8].
 */
export function packPanels(to: usize, from: usize, first: i32, count: i32, rows: i32, width: i32, columns: i32, at: i32): void {
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
      const p = to + (<usize>((block * panels + target / PANEL) * rows + row) * PANEL + target % PANEL << 2)
      if (target % PANEL == 0 && column + PANEL <= end) {
        v128.store(p, v128.load(from))
        v128.store(p, v128.load(from, 16), 16)
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

/** The same for a weight [blocks·rows, columns] that stays row-major. */
export function packRows(to: usize, from: usize, first: i32, count: i32, width: i32, columns: i32, at: i32): void {
  let line = first / width
  let column = first % width
  while (count > 0) {
    const run = min(width - column, count)
    memory.copy(to + (<usize>(line * columns + at + column) << 2), from, <usize>run << 2)
    from += <usize>run << 2
    count -= run
    column = 0
    line++
  }
}
