/**
 * The table of samples of an MP4 or MOV track (ISO 14496-12 8.6 and 8.7), checked against the bytes
 * that are there: mediabunny 1.61 creates as many entries as a table claims, and four bytes can
 * claim four billion.
 */
import { viewOf } from './boxes.ts'

/** Times and descriptions of a track's samples, in order of decoding. */
export interface Samples {
  /** Composition times in ticks of the track. */
  readonly times: Float64Array
  /** Index of the first key sample; the number of samples when there is none. */
  readonly firstKey: number
  /** Sample descriptions: `description` (from 1 on) applies from sample `from` on. */
  readonly runs: readonly { readonly from: number; readonly description: number }[]
}

/** The bodies of a track's tables by their kind. */
export type Tables = ReadonlyMap<string, Uint8Array>

/** A table that names more samples than the file can hold. */
export class TooManySamples extends Error {}

/** Bytes of an entry of the tables that begin with the number of their entries. */
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

/** Writers may be off by a few at the end. */
const SLACK = 1024
/** Bytes of a frame, on average, below which no codec gets. */
const MIN_FRAME = 8
/** Without a known file size: 90 hours of video. */
const MAX_FRAMES = 10_000_000

/** The largest number of frames that a file of `size` bytes can hold; null: unknown. */
export function mostFrames(size: number | null): number {
  return size === null ? MAX_FRAMES : Math.min(MAX_FRAMES, Math.ceil(size / MIN_FRAME) + SLACK)
}

/**
 * Reads the tables of a track.
 * @throws TooManySamples
 */
export function readSamples(tables: Tables, size: number | null): Samples {
  const count = countSamples(tables, size)
  const times = new Float64Array(count)
  let at = 0
  let time = 0
  for (const [length, delta] of runs(tables.get('stts'), count)) {
    for (const end = Math.min(count, at + length); at < end; at++, time += delta) times[at] = time
  }
  at = 0
  const offsets = tables.get('ctts')
  for (const [length, offset] of runs(offsets, count)) {
    // Version 0 is unsigned by the standard; writers store negative offsets in it all the same.
    for (const end = Math.min(count, at + length); at < end; at++) times[at]! += offset | 0
  }
  return {
    times,
    firstKey: firstKey(tables.get('stss'), count),
    runs: descriptionRuns(tables, count),
  }
}

/**
 * The body of a table with as many entries as its count says, in parts. mediabunny reads entries
 * that lie behind the end of a table, out of the boxes that follow.
 * @returns null when the body is too short to be one
 */
export function exactTable(kind: string, body: Uint8Array): Uint8Array[] | null {
  const entry = ENTRIES[kind]
  if (entry === undefined) return body.length < SIZES_HEADER ? null : [body]
  if (body.length < 8) return null
  const count = entriesOf(body, entry)
  const header = new Uint8Array(body.subarray(0, 8))
  viewOf(header).setUint32(4, count)
  return [header, body.subarray(8, 8 + count * entry)]
}

function countSamples(tables: Tables, size: number | null): number {
  const sizes = tables.get('stsz') ?? tables.get('stz2')
  if (sizes === undefined || sizes.length < SIZES_HEADER) return 0
  const view = viewOf(sizes)
  const compact = !tables.has('stsz')
  const each = compact ? 0 : view.getUint32(4)
  const count = view.getUint32(8)
  const bits = compact ? sizes[7]! : 32
  const tooMany = count > mostFrames(size) || (size !== null && count * each > size)
  if (tooMany || (each === 0 && count * bits > (sizes.length - SIZES_HEADER) * 8)) throw new TooManySamples()
  return count
}

/** The runs of stts or ctts: a number of samples and their value. */
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

/** Without stss, every sample is a key sample. */
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
