/**
 * Edit lists of MP4 and MOV (ISO 14496-12 8.6.6). They determine which parts of the media are
 * shown, and when. As in ffmpeg, a picture is shown if its time is in an edit, and every edit has
 * rate 1.
 */
import { viewOf } from '../../base/bytes.ts'

/** A part of the media that is shown. */
export interface Edit {
  /** First tick of the media, and the tick after the last. */
  readonly start: number
  readonly end: number
  /** Start time in the presentation, in seconds. */
  readonly at: number
}

/** An edit list in ticks of the track. */
export interface EditList {
  readonly edits: readonly Edit[]
  /** Seconds of the presentation from the first edit on; null if an edit has no end. */
  readonly duration: number | null
  /** Media rates other than 1, in the order of the list, without duplicates. */
  readonly rates: readonly number[]
}

/**
 * @param body of an elst box
 * @param movieScale ticks per second of durations
 * @param mediaScale ticks per second of media times
 * @returns null if the list changes nothing
 */
export function readEdits(
  body: Uint8Array,
  movieScale: number,
  mediaScale: number,
): EditList | null {
  if (body.length < 8 || movieScale === 0) return null
  const view = viewOf(body)
  const long = body[0] === 1
  const entry = long ? 20 : 12
  const count = Math.min(view.getUint32(4), Math.floor((body.length - 8) / entry))
  const edits: Edit[] = []
  const rates = new Set<number>()
  /** In ticks of the movie, which are integers. */
  let at = 0
  let first: number | null = null
  for (let i = 0; i < count; i++) {
    const from = 8 + i * entry
    const length = long ? Number(view.getBigUint64(from)) : view.getUint32(from)
    const start = long ? Number(view.getBigInt64(from + 8)) : view.getInt32(from + 4)
    const rate = view.getInt32(from + entry - 4) / 65536
    if (start >= 0) {
      first ??= at
      if (rate !== 1) rates.add(rate)
      // Fragmented files write 0: the length was unknown when the list was written.
      edits.push({
        start,
        end: length === 0 ? Infinity : start + Math.round((length * mediaScale) / movieScale),
        at: at / movieScale,
      })
    }
    at += length
  }
  if (first === null) return null
  const isOpen = edits.some(({ end }) => end === Infinity)
  return { edits, duration: isOpen ? null : (at - first) / movieScale, rates: [...rates] }
}

/** Splits a list into passes over the media. Within each pass, edits are in ascending order. */
export function splitEdits(edits: readonly Edit[]): Edit[][] {
  const passes: Edit[][] = []
  let end = Infinity
  for (const edit of edits) {
    if (edit.start < end) passes.push([])
    passes.at(-1)!.push(edit)
    end = edit.end
  }
  return passes
}

/**
 * Counts the ticks that edits show, summed over all edits. If a list goes back, one picture is
 * counted several times.
 */
export function countShown(times: ArrayLike<number>, from: number, edits: readonly Edit[]): number {
  const sorted = Float64Array.from(
    { length: Math.max(0, times.length - from) },
    (_, i) => times[from + i]!,
  ).sort()
  return edits.reduce(
    (sum, { start, end }) => sum + (lowerBound(sorted, end) - lowerBound(sorted, start)),
    0,
  )
}

function lowerBound(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
