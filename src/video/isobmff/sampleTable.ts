/**
 * Parses the sample table of an MP4 or MOV track (ISO 14496-12 8.6 and 8.7). mediabunny 1.61
 * creates as many entries as a table claims. Four bytes can claim four billion, so counts are
 * checked against the available bytes first.
 */
import { viewOf } from '../../base/bytes.ts'

/** Times and descriptions of a track's samples, in decoding order. */
export interface Samples {
  /** Composition times in ticks of the track. */
  readonly times: Float64Array
  /** Index of the first key sample; the number of samples if there is none. */
  readonly firstKey: number
  /** Bytes of the largest sample. */
  readonly largest: number
  /** Sample descriptions: `description` (from 1 on) applies from sample `from` on. */
  readonly runs: readonly { readonly from: number; readonly description: number }[]
}

/** Bodies of a track's tables by kind. */
export type Tables = ReadonlyMap<string, Uint8Array>

/** The error for a table with more samples than the file can contain. */
export class TooManySamples extends Error {}

/** Bytes per entry of the tables that begin with their number of entries. */
const ENTRIES: Readonly<Record<string, number>> = {
  stts: 8,
  ctts: 8,
  stss: 4,
  stsc: 12,
  stco: 4,
  co64: 8,
}
/** Bytes of stsz and stz2 before their entries. */
const SIZES_HEADER = 12

/** Tolerance for the number of samples, because writers may be off by a few. */
const SLACK = 1024
/** Smallest average size of a frame in bytes, for any codec. */
const MIN_FRAME = 8
/** Largest number of frames in a stream whose common size is stored only once. */
const MOST_ALIKE = 10_000
/** Largest number of frames: 90 hours of video. */
const MAX_FRAMES = 10_000_000

/** The largest number of frames that a file of `size` bytes can hold; null: unknown. */
export function mostFrames(size: number | null): number {
  return size === null ? MAX_FRAMES : Math.min(MAX_FRAMES, Math.ceil(size / MIN_FRAME) + SLACK)
}

/** The largest number of frames that an index of `size` bytes in a stream may name. */
export function mostIndexed(size: number): number {
  return Math.ceil(size / 4) + MOST_ALIKE
}

/**
 * Reads the tables of a track.
 * @param size bytes of the file; null: unknown
 * @param most largest number of samples
 * @throws TooManySamples
 */
export function readSamples(tables: Tables, size: number | null, most: number): Samples {
  const count = countSamples(tables, size, most)
  const times = new Float64Array(count)
  let at = 0
  let time = 0
  for (const [length, delta] of runs(tables.get('stts'), count)) {
    for (const end = Math.min(count, at + length); at < end; at++, time += delta) times[at] = time
  }
  at = 0
  const offsets = tables.get('ctts')
  for (const [length, offset] of runs(offsets, count)) {
    // Version 0 is unsigned by the standard, but writers store negative offsets in it.
    for (const end = Math.min(count, at + length); at < end; at++) times[at]! += offset | 0
  }
  return {
    times,
    firstKey: firstKey(tables.get('stss'), count),
    largest: largestSample(tables, count),
    runs: descriptionRuns(tables, count),
  }
}

/**
 * Returns the tables for mediabunny. They contain exactly the entries that they count, and no
 * sample without size and offset. mediabunny would read missing entries from the boxes after a
 * table, and a missing offset would be NaN.
 * @param count number of samples of the track
 * @returns parts of the bodies by kind of table
 */
export function exactTables(tables: Tables, count: number): Map<string, Uint8Array[]> {
  const { samples, entries } = placed(tables, count)
  const exact = new Map<string, Uint8Array[]>()
  for (const [kind, body] of tables) {
    const entry = ENTRIES[kind]
    if (kind === 'stsd' || (kind === 'stz2' && tables.has('stsz'))) continue
    if (body.length < (entry === undefined ? SIZES_HEADER : 8)) continue
    if (entry === undefined) exact.set(kind, [body])
    else if (kind === 'stts') exact.set(kind, [cutTimes(body, samples)])
    else {
      const kept = kind === 'stsc' ? entries : entriesOf(body, entry)
      const header = new Uint8Array(body.subarray(0, 8))
      viewOf(header).setUint32(4, kept)
      exact.set(kind, [header, body.subarray(8, 8 + kept * entry)])
    }
  }
  return exact
}

/** Returns the number of samples with an offset, and of the stsc entries that describe them. */
function placed(tables: Tables, count: number): { samples: number; entries: number } {
  const entriesIn = (kind: string): number => {
    const table = tables.get(kind)
    return table === undefined || table.length < 8 ? 0 : entriesOf(table, ENTRIES[kind]!)
  }
  const chunks = entriesIn('stco') + entriesIn('co64')
  const all = entriesIn('stsc')
  let samples = 0
  let entries = 0
  for (; entries < all && samples < count; entries++) {
    const view = viewOf(tables.get('stsc')!)
    const at = 8 + 12 * entries
    const first = view.getUint32(at)
    const next = entries + 1 < all ? view.getUint32(at + 12) : chunks + 1
    const each = view.getUint32(at + 4)
    if (first === 0 || each === 0 || next < first || first > chunks) break
    samples += each * (Math.min(next, chunks + 1) - first)
  }
  return { samples: Math.min(samples, count), entries }
}

/** Returns the times table (stts) of the first samples. */
function cutTimes(body: Uint8Array, samples: number): Uint8Array {
  const table = new Uint8Array(body)
  const view = viewOf(table)
  let entries = 0
  for (let left = samples; left > 0 && entries < entriesOf(body, 8); entries++) {
    const length = Math.min(left, view.getUint32(8 + 8 * entries))
    view.setUint32(8 + 8 * entries, length)
    left -= length
  }
  view.setUint32(4, entries)
  return table.subarray(0, 8 + 8 * entries)
}

function countSamples(tables: Tables, size: number | null, most: number): number {
  const sizes = tables.get('stsz') ?? tables.get('stz2')
  if (sizes === undefined || sizes.length < SIZES_HEADER) return 0
  const view = viewOf(sizes)
  const compact = !tables.has('stsz')
  const each = compact ? 0 : view.getUint32(4)
  const count = view.getUint32(8)
  const bits = compact ? sizes[7]! : 32
  const tooMany = count > most || (size !== null && count * each > size)
  const isShort = each === 0 && count * bits > (sizes.length - SIZES_HEADER) * 8
  if (tooMany || isShort) throw new TooManySamples()
  return count
}

function largestSample(tables: Tables, count: number): number {
  const sizes = tables.get('stsz')
  // Sizes in stz2 have at most 16 bits, so they are never too large.
  if (sizes === undefined || count === 0) return 0
  const view = viewOf(sizes)
  let largest = view.getUint32(4)
  if (largest === 0)
    for (let i = 0; i < count; i++)
      largest = Math.max(largest, view.getUint32(SIZES_HEADER + 4 * i))
  return largest
}

/** Yields the runs of stts or ctts: a number of samples and their value. */
function* runs(
  table: Uint8Array | undefined,
  count: number,
): Generator<readonly [length: number, value: number]> {
  if (table === undefined || table.length < 8) return
  const view = viewOf(table)
  let sum = 0
  for (let i = 0; i < entriesOf(table, 8); i++) {
    const length = view.getUint32(8 + 8 * i)
    sum += length
    if (sum > count + SLACK) throw new TooManySamples()
    yield [length, view.getUint32(12 + 8 * i)]
  }
}

function entriesOf(table: Uint8Array, entry: number): number {
  return Math.min(viewOf(table).getUint32(4), Math.floor((table.length - 8) / entry))
}

/** Returns the first key sample. Without stss, every sample is one. */
function firstKey(table: Uint8Array | undefined, count: number): number {
  if (table === undefined || table.length < 8) return 0
  return entriesOf(table, 4) === 0
    ? count
    : Math.min(count, Math.max(0, viewOf(table).getUint32(8) - 1))
}

function descriptionRuns(tables: Tables, count: number): { from: number; description: number }[] {
  const table = tables.get('stsc')
  const result: { from: number; description: number }[] = []
  if (table === undefined || table.length < 8) return result
  const view = viewOf(table)
  const entries = entriesOf(table, 12)
  let from = 0
  for (let i = 0; i < entries; i++) {
    const [chunk, samples, description] = [0, 4, 8].map((offset) =>
      view.getUint32(8 + 12 * i + offset),
    ) as [number, number, number]
    if (samples > count + SLACK) throw new TooManySamples()
    if (result.at(-1)?.description !== description) result.push({ from, description })
    if (i + 1 < entries) from += samples * Math.max(0, view.getUint32(8 + 12 * (i + 1)) - chunk)
  }
  return result
}
