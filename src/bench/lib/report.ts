import { TrecvitError } from '../../base/error.ts'

/** Results of a bench. They are printed as text, as a page or as JSON. */
export interface Report {
  readonly bench: string
  /** Machine, runtime and settings. */
  readonly facts: Readonly<Record<string, string | number>>
  readonly tables: readonly Table[]
  /** Speed relative to the limits of the machine. */
  readonly roofline?: Roofline
  /** Frames per second, for a bar chart. */
  readonly bars?: readonly Bar[]
  /** Whether the promised bound holds, in one sentence; null without one. */
  readonly verdict: { readonly holds: boolean; readonly text: string } | null
}

/** Rows by column name. A missing cell is empty. */
export interface Table {
  readonly title: string
  readonly rows: readonly Readonly<Record<string, string | number>>[]
}

/** Kinds of steps in a roofline plot. Both limits are measured in the same run. */
export interface Roofline {
  /** Of rates. Older reports have none. */
  readonly unit?: 'GFLOP/s' | 'GOP/s'
  /** Compute limit: rate of a product in the L1 cache. */
  readonly peak: number
  /** Memory limit: GB/s read and written by a copy. */
  readonly bandwidth: number
  readonly points: readonly {
    readonly label: string /** Operations per byte */
    readonly intensity: number
    readonly rate: number /** 0..1 of a frame's time */
    readonly share: number
  }[]
}

/** A bar of a group. */
export interface Bar {
  /** A size of the model. */
  readonly group: string
  /** Runtime that was measured: this package or a peer. */
  readonly label: string
  /** Frames per second. */
  readonly value: number
}

/** Formats a report as text with aligned tables: text to the left, numbers to the right. */
export function textOf(report: Report): string {
  const facts = Object.entries(report.facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  const verdict = report.verdict
    ? [`${report.verdict.holds ? 'PASS' : 'FAIL'}  ${report.verdict.text}`]
    : []
  return [`${report.bench}: ${facts}`, ...report.tables.map(tableText), ...verdict].join('\n\n')
}

function tableText({ title, rows }: Table): string {
  const columns = columnsOf(rows)
  const cell = (value: string | number | undefined) =>
    typeof value === 'number' ? format(value) : (value ?? '')
  const widths = columns.map(({ name }) =>
    Math.max(name.length, ...rows.map((row) => cell(row[name]).length)),
  )
  const line = (values: readonly string[]) =>
    values
      .map((value, index) =>
        columns[index]!.isNumber ? value.padStart(widths[index]!) : value.padEnd(widths[index]!),
      )
      .join('  ')
      .trimEnd()
  return [
    title,
    line(columns.map(({ name }) => name)),
    ...rows.map((row) => line(columns.map(({ name }) => cell(row[name])))),
  ].join('\n')
}

/** Returns all columns of a table, in the order of their first use. */
export function columnsOf(
  rows: Table['rows'],
): { readonly name: string; readonly isNumber: boolean }[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))].map((name) => ({
    name,
    isNumber: rows.some((row) => typeof row[name] === 'number'),
  }))
}

/** Formats a number with about four digits: 1234, 56.78, 0.123. */
export function format(value: number): string {
  if (Number.isInteger(value)) return String(value)
  const digits =
    Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  return value === 0 || Math.abs(value) >= 0.001 ? value.toFixed(digits) : value.toExponential(1)
}

/**
 * Parses a file of `--out` or of the page: one report, or a list.
 * @param name of the file, for the message
 * @throws TrecvitError if it contains something else
 */
export function parseReports(name: string, text: string): Report[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TrecvitError(
      `"${name}" is not JSON; expected a file of "trecvit bench --out" or of the page`,
      { cause },
    )
  }
  const reports = Array.isArray(value) ? value : [value]
  if (reports.length === 0 || !reports.every(isReport))
    throw new TrecvitError(
      `"${name}" holds no bench reports; expected a file of "trecvit bench --out" or of the page`,
    )
  return reports
}

function isReport(value: unknown): value is Report {
  const isRecord = (x: unknown): x is Record<string, unknown> =>
    typeof x === 'object' && x !== null && !Array.isArray(x)
  const isRow = (x: unknown) =>
    isRecord(x) &&
    Object.values(x).every((cell) => typeof cell === 'string' || typeof cell === 'number')
  const isTable = (x: unknown) =>
    isRecord(x) &&
    typeof x['title'] === 'string' &&
    Array.isArray(x['rows']) &&
    x['rows'].every(isRow)
  const isNumbers = (x: Record<string, unknown>, ...names: string[]) =>
    names.every((name) => Number.isFinite(x[name]))
  const isPoint = (x: unknown) =>
    isRecord(x) && typeof x['label'] === 'string' && isNumbers(x, 'intensity', 'rate', 'share')
  const isBar = (x: unknown) =>
    isRecord(x) &&
    typeof x['group'] === 'string' &&
    typeof x['label'] === 'string' &&
    isNumbers(x, 'value')
  if (
    !isRecord(value) ||
    typeof value['bench'] !== 'string' ||
    !isRow(value['facts']) ||
    !Array.isArray(value['tables']) ||
    !value['tables'].every(isTable)
  )
    return false
  const { roofline, bars, verdict } = value
  return (
    (roofline === undefined ||
      (isRecord(roofline) &&
        [undefined, 'GFLOP/s', 'GOP/s'].includes(roofline['unit'] as string | undefined) &&
        isNumbers(roofline, 'peak', 'bandwidth') &&
        Array.isArray(roofline['points']) &&
        roofline['points'].every(isPoint))) &&
    (bars === undefined || (Array.isArray(bars) && bars.every(isBar))) &&
    (verdict === null || (isRecord(verdict) && typeof verdict['text'] === 'string'))
  )
}
