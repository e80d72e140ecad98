/** What a bench finds out, for people (text) and for machines (JSON). */
export interface Report {
  readonly bench: string
  /** What it ran on, and with which settings. */
  readonly facts: Readonly<Record<string, string | number>>
  readonly tables: readonly Table[]
  /** Whether what was promised holds, in one sentence; null when nothing was promised. */
  readonly verdict: { readonly holds: boolean; readonly text: string } | null
}

/** Rows by column name; a column that a row lacks stays empty. */
export interface Table {
  readonly title: string
  readonly rows: readonly Readonly<Record<string, string | number>>[]
}

/** The report as text, tables aligned: words to the left, numbers to the right. */
export function textOf(report: Report): string {
  const facts = Object.entries(report.facts).map(([name, value]) => `${name} ${value}`).join(', ')
  const verdict = report.verdict ? [`${report.verdict.holds ? 'PASS' : 'FAIL'}  ${report.verdict.text}`] : []
  return [`${report.bench}: ${facts}`, ...report.tables.map(tableText), ...verdict].join('\n\n')
}

function tableText({ title, rows }: Table): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cell = (value: string | number | undefined) => (typeof value === 'number' ? format(value) : value ?? '')
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => cell(row[column]).length)))
  const line = (values: readonly string[], right: (index: number) => boolean) =>
    values.map((value, index) => (right(index) ? value.padStart(widths[index]!) : value.padEnd(widths[index]!))).join('  ').trimEnd()
  const isNumber = (index: number) => rows.some((row) => typeof row[columns[index]!] === 'number')
  return [title, line(columns, isNumber), ...rows.map((row) => line(columns.map((column) => cell(row[column])), isNumber))].join('\n')
}

/** About four digits: 1234, 56.78, 0.123. */
function format(value: number): string {
  if (Number.isInteger(value)) return String(value)
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  return value === 0 || Math.abs(value) >= 0.001 ? value.toFixed(digits) : value.toExponential(1)
}
