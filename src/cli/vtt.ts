/** Formats segments as WebVTT, for the <track> of a <video>. */
import type { Segment } from '../model/timeline.ts'
import { labelOf, percent } from './terminal.ts'

/** Returns a WebVTT file with a cue for every segment: its label and probability. */
export function vttOf(segments: readonly Segment[]): string {
  const cues = segments.map(
    (segment) =>
      `${timestamp(segment.start)} --> ${timestamp(segment.end)}\n` +
      `${escaped(labelOf(segment))} ${percent(segment.prob).trim()}\n`,
  )
  return ['WEBVTT\n', ...cues].join('\n')
}

/** Formats a time as hours, minutes, seconds and milliseconds. */
function timestamp(seconds: number): string {
  const milliseconds = Math.round(seconds * 1000)
  const digits = (value: number, count = 2): string =>
    String(Math.floor(value)).padStart(count, '0')
  return (
    `${digits(milliseconds / 3_600_000)}:${digits((milliseconds / 60_000) % 60)}:` +
    `${digits((milliseconds / 1000) % 60)}.${digits(milliseconds % 1000, 3)}`
  )
}

/** Escapes the text of a cue: no markup, one line. */
function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/\s+/g, ' ')
}
