/**
 * Text on standard output and standard error, with colours and tables.
 */
import { fstatSync, writeSync } from 'node:fs'
import { styleText } from 'node:util'
import { environment } from '../platform/platform.ts'

/** Colours and styles of `styleText`. */
export type Style = Parameters<typeof styleText>[0]

/**
 * Whether standard output supports colours: a terminal does unless NO_COLOR is set. FORCE_COLOR
 * enables colours for any output.
 */
export function isColoured(): boolean {
  if (environment('NO_COLOR')) return false
  if (environment('FORCE_COLOR')) return environment('FORCE_COLOR') !== '0'
  return process.stdout.isTTY === true && environment('TERM') !== 'dumb'
}

/** Applies a style to the text if standard output supports colours. */
export function paint(style: Style, text: string): string {
  return isColoured() ? styleText(style, text, { validateStream: false }) : text
}

/** Columns of the terminal. 80 if there is no terminal or its width is unknown (0). */
export function columns(): number {
  return process.stdout.columns || 80
}

/** Prints a line, or several, to standard output. */
export function print(text: string): void {
  printBytes(Buffer.from(`${text}\n`))
}

/** Writes bytes to standard output. If that fails, `process.stdout` emits an error. */
export function printBytes(bytes: Uint8Array): void {
  const { fd } = process.stdout
  if (!fstatSync(fd).isFile()) return void process.stdout.write(bytes)
  // On a full disk, Node's own stream may write only part of a line and report success.
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
  } catch (error) {
    process.stdout.destroy(error as Error)
  }
}

/** Prints a line to standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Draws a bar of `width` columns with a resolution of an eighth of a column. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8)
  return '█'.repeat(Math.floor(eighths / 8)) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8]!
}

/** Formats 0..1 as a percentage, right-aligned: " 97 %", "100 %"; with one decimal " 97.1 %". */
export function percent(share: number, decimals = 0): string {
  return `${(100 * share).toFixed(decimals).padStart(decimals ? 4 + decimals : 3)} %`
}

/** Aligns rows of cells. A column is as wide as its widest cell. The last column is not padded. */
export function table(rows: readonly (readonly string[])[], gap = 2): string {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell.padEnd(widths[column]! + gap),
        )
        .join(''),
    )
    .join('\n')
}

/** Formats a number of bytes. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (count >= 999.5 && unit < units.length - 1) {
    count /= 1000
    unit++
  }
  return (
    `${unit === 0 ? count : count.toFixed(count < 9.995 ? 2 : count < 99.95 ? 1 : 0)} ` +
    `${units[unit]}`
  )
}

/** Formats a class for display. */
export function labelOf({
  label,
  index,
}: {
  readonly label: string | null
  readonly index: number
}): string {
  return label ?? `class ${index}`
}
