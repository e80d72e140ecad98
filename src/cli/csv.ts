/** Tables as text: CSV as RFC 4180 describes it, with a header, and lines of JSON. */

/** One row; a missing cell is empty. */
export type Row = Readonly<Record<string, unknown>>

/** A row of cells as a line of CSV. */
export function csvLine(cells: readonly unknown[]): string {
  return cells
    .map((cell) => {
      const text = cell === undefined || cell === null ? '' : String(cell)
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
    })
    .join(',')
}

/** Reads the rows of a CSV with a header; skips a last line without its end. */
export function parseCsv(text: string): Row[] {
  const lines: string[][] = []
  let cells: string[] = []
  // A cell in quotes, or without; then what ends it.
  for (const [, quoted, plain, end] of text.matchAll(
    /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n)/g,
  )) {
    cells.push(quoted?.replaceAll('""', '"') ?? plain!)
    if (end === ',') continue
    lines.push(cells)
    cells = []
  }
  const [header = [], ...rows] = lines
  return rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i] ?? ''])))
}

/** Reads lines of JSON; skips a last line without its end, and values that are no object. */
export function parseJsonLines(text: string): Row[] {
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      try {
        const row = JSON.parse(line) as unknown
        return row !== null && typeof row === 'object' ? [row as Row] : []
      } catch {
        return []
      }
    })
}
