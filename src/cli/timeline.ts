/** Draws a timeline in the terminal. */
import type { Segment } from '../model/timeline.ts'
import { columns, isColoured, labelOf, paint, percent, type Style, table } from './terminal.ts'

/** Largest number of segments in the list. The strip and --json contain all of them. */
const MAX_PRINTED = 60
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const COLOURS = [
  'bgCyan',
  'bgYellow',
  'bgMagenta',
  'bgGreen',
  'bgBlueBright',
  'bgRedBright',
  'bgWhite',
  'bgCyanBright',
  'bgYellowBright',
  'bgMagentaBright',
  'bgGreenBright',
  'bgGray',
] as const

/**
 * Draws a strip as wide as the terminal. Below it, a line per segment with its letter and colour
 * serves as the legend.
 */
export function drawTimeline(segments: readonly Segment[]): string {
  const marks = new Map<number, { letter: string; style: Style }>()
  for (const { index } of segments) {
    const count = marks.size
    if (!marks.has(index))
      marks.set(index, {
        letter: LETTERS[count % LETTERS.length]!,
        style: ['black', COLOURS[count % COLOURS.length]!],
      })
  }
  // With colours, the letter is only in the first column of a segment. Without, it is in every
  // column.
  const block = (index: number, length: number) => {
    const { letter, style } = marks.get(index)!
    return paint(style, isColoured() ? letter.padEnd(length) : letter.repeat(length))
  }
  const begin = segments[0]!.start
  const close = segments.at(-1)!.end
  const width = Math.max(20, Math.min(columns(), 120) - 4)
  let drawn = 0
  const strip = segments
    .map(({ index, end }) => {
      const share = (end - begin) / (close - begin)
      const length = Math.max(0, Math.round(share * width) - drawn)
      drawn += length
      return length ? block(index, length) : ''
    })
    .join('')
  const digits = close.toFixed(2).length
  const rows = segments
    .slice(0, MAX_PRINTED)
    .map(({ start, end, prob, ...segment }) => [
      `${start.toFixed(2).padStart(digits)}–${end.toFixed(2).padStart(digits)} s`,
      labelOf(segment),
      percent(prob),
    ])
  const lines = table(rows)
    .split('\n')
    .map((line, row) => `  ${block(segments[row]!.index, 1)}  ${line}`)
  const more =
    segments.length > MAX_PRINTED
      ? [`  … and ${segments.length - MAX_PRINTED} more segments (--json gives all)`]
      : []
  return [`  ${strip}`, ...lines, ...more].join('\n')
}
