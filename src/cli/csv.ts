/** Tables as text: CSV with a header (RFC 4180), or lines of JSON. */

/** One row. A missing cell is empty. */
export type Row = Readonly<Record<string, unknown>>

/** Formats cells as a line of CSV. */
export function csvLine(cells: readonly unknown[]): string {
  return cells
    .map((cell) => {
      const text = cell === undefined || cell === null ? '' : String(cell)
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
    })
    .join(',')
}

/** Parses the rows of a CSV with a header. Skips an incomplete last line. */
export function parseCsv(text: string): Row[] {
  const lines: string[][] = []
  let cells: string[] = []
  // A quoted or plain cell, then its separator.
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

/** Parses lines of JSON. Skips an incomplete last line, and values that are not objects. */
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
