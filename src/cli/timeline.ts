/**
 * What happened when: answers in a row with the same label are a segment.
 */
import { columns, isColoured, labelOf, paint, percent, type Style, table } from './terminal.ts'

/** The answer after one frame. */
export interface Moment {
  readonly frame: number
  /** Seconds. */
  readonly time: number
  readonly label: string | null
  readonly index: number
  /** 0..1. */
  readonly prob: number
}

/** Neighbouring frames with the same label. */
export interface Segment {
  /** Seconds, from the first of its frames to the first one of the next segment. */
  readonly from: number
  readonly to: number
  /** The first and the last frame. */
  readonly first: number
  readonly last: number
  readonly label: string | null
  readonly index: number
  /** Mean over its frames, 0..1. */
  readonly prob: number
}

/** Segments that are printed; the strip and --json tell the rest. */
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

/** @param end seconds at which the last frame ends */
export function segmentsOf(moments: readonly Moment[], end: number): Segment[] {
  const segments: Segment[] = []
  for (let start = 0, stop = 0; start < moments.length; start = stop) {
    const { index, label, time, frame } = moments[start]!
    let sum = 0
    while (moments[stop]?.index === index) sum += moments[stop++]!.prob
    segments.push({
      from: time,
      to: moments[stop]?.time ?? end,
      first: frame,
      last: moments[stop - 1]!.frame,
      label,
      index,
      prob: sum / (stop - start),
    })
  }
  return segments
}

/**
 * A strip as wide as the terminal, and under it a line for each segment, with its letter and colour
 * as the legend.
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
  // With colours, the letter stands where a segment begins; without, in every column.
  const block = (index: number, length: number) => {
    const { letter, style } = marks.get(index)!
    return paint(style, isColoured() ? letter.padEnd(length) : letter.repeat(length))
  }
  const start = segments[0]!.from
  const end = segments.at(-1)!.to
  const width = Math.max(20, Math.min(columns(), 120) - 4)
  let drawn = 0
  const strip = segments
    .map(({ index, to }) => {
      const length = Math.max(0, Math.round(((to - start) / (end - start)) * width) - drawn)
      drawn += length
      return length ? block(index, length) : ''
    })
    .join('')
  const digits = end.toFixed(2).length
  const rows = segments
    .slice(0, MAX_PRINTED)
    .map(({ from, to, prob, ...segment }) => [
      `${from.toFixed(2).padStart(digits)}–${to.toFixed(2).padStart(digits)} s`,
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
