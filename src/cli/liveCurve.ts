/** A curve of Braille characters: each has 2 × 4 dots. */

/** Bits of the dots of a character, from the top: of its left and of its right column. */
const DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const
const EMPTY = 0x2800

/**
 * Draws values as lines of text. The range of the values is the height.
 * @param values finite numbers
 * @param width characters; with more values than dots, each column of dots is a mean
 * @param height lines
 */
export function brailleCurve(values: readonly number[], width: number, height: number): string[] {
  const [columns, rows] = [2 * width, 4 * height]
  const points = spread(values, columns)
  const [least, most] = [Math.min(...points), Math.max(...points)]
  const rowOf = (value: number) => Math.round(((most - value) / (most - least || 1)) * (rows - 1))
  const cells = Array.from({ length: height }, () => new Array<number>(width).fill(0))
  for (const [column, value] of points.entries()) {
    const row = rowOf(value)
    const before = column === 0 ? row : rowOf(points[column - 1]!)
    // Down or up to the point before, so that the curve has no gaps.
    const [first, last] = row <= before ? [row, Math.max(row, before - 1)] : [before + 1, row]
    for (let y = first; y <= last; y++)
      cells[y >> 2]![column >> 1]! |= DOTS[column & 1 ? 1 : 0][y & 3]!
  }
  return cells.map((line) => String.fromCharCode(...line.map((bits) => EMPTY + bits)).trimEnd())
}

/** Returns a value for each column: fewer values take as many columns each, more are averaged. */
function spread(values: readonly number[], columns: number): number[] {
  if (values.length === 0) return []
  const count = Math.min(columns, values.length * Math.max(1, Math.floor(columns / values.length)))
  return Array.from({ length: count }, (_, column) => {
    const first = Math.floor((column * values.length) / count)
    const end = Math.max(first + 1, Math.floor(((column + 1) * values.length) / count))
    const own = values.slice(first, end)
    return own.reduce((sum, value) => sum + value, 0) / own.length
  })
}
