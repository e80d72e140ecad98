/**
 * Reads the index of an MP4 or MOV file (moov), including what mediabunny 1.61 ignores. Writes an
 * index of only the chosen video track.
 */
import { viewOf } from '../../base/bytes.ts'
import type { Rotation } from '../frame.ts'
import { type Box, boxesIn, findBox, makeBox } from './boxes.ts'
import { type EditList, readEdits } from './edits.ts'
import { readMirror } from './mirror.ts'
import { type Description, describeEntry } from './sampleEntry.ts'
import { exactTables, readSamples, type Samples } from './sampleTable.ts'

/** Properties of the video track in the index. */
export interface Movie {
  readonly track: number
  /** Ticks per second of the track's times. */
  readonly timescale: number
  readonly edits: EditList | null
  /** Rotation of a mirrored track; null if it is not mirrored. */
  readonly mirror: Rotation | null
  /** Seconds of the media; null if unknown. */
  readonly duration: number | null
  readonly samples: Samples
  readonly descriptions: readonly Description[]
  /** Defaults of fragments (trex) by track; null if the file has no fragments. */
  readonly fragments: ReadonlyMap<number, FragmentDefaults> | null
  /** The index with only this track. It is shorter than the original one. */
  readonly moov: Uint8Array
}

/** Defaults of the samples in fragments. */
export interface FragmentDefaults {
  readonly description: number
  readonly duration: number
  readonly size: number
  readonly flags: number
}

/** Largest number of tracks that are read. */
const MAX_TRACKS = 64
/** Names of tracks by kind. */
const HANDLERS: Readonly<Record<string, string>> = {
  soun: 'audio',
  sbtl: 'subtitles',
  subt: 'subtitles',
  text: 'subtitles',
}

/**
 * @param moov the box with its header
 * @param size bytes of the file; null: unknown
 * @param most largest number of samples
 * @returns the movie, or the kinds of its tracks if none is a video
 * @throws TooManySamples
 */
export function readMovie(moov: Uint8Array, size: number | null, most: number): Movie | string[] {
  const whole = findBox(moov, 0, moov.length, 'moov')!
  const mvhd = findBox(moov, whole.body, whole.end, 'mvhd')
  const movieScale = mvhd === null ? 0 : scaleOf(moov.subarray(mvhd.body, mvhd.end)).scale
  const tracks: Trak[] = []
  for (const box of boxesIn(moov, whole.body, whole.end)) {
    if (box.kind === 'trak' && tracks.length < MAX_TRACKS) tracks.push(readTrak(moov, box))
  }
  const videos = tracks.filter(({ handler }) => handler === 'vide')
  // Same order as in mediabunny and players: enabled tracks before disabled ones, then video before
  // still pictures.
  const rank = (trak: Trak): number =>
    (trak.enabled ? 0 : 2) + (trak.tables.has('stss') || trak.isEmpty ? 0 : 1)
  const best = videos.sort((a, b) => rank(a) - rank(b))[0]
  if (best === undefined)
    return [...new Set(tracks.flatMap(({ handler }) => HANDLERS[handler] ?? []))]
  const samples = readSamples(best.tables, size, most)
  const mvex = findBox(moov, whole.body, whole.end, 'mvex')
  const fragments = mvex === null ? null : readDefaults(moov, mvex)
  const first = samples.runs[0]?.description ?? fragments?.get(best.id)?.description ?? 1
  const { descriptions, stsd } = readDescriptions(best.tables.get('stsd'), first)
  const { scale, duration } = best.time
  const parts = [
    ...(mvhd === null ? [] : [boxBytes(moov, mvhd)]),
    ...(mvex === null ? [] : [trimmedMvex(moov, mvex, best.id)]),
  ]
  return {
    track: best.id,
    timescale: scale,
    edits: best.elst === null ? null : readEdits(best.elst, movieScale, scale),
    mirror: readMirror(best.tkhd),
    duration: duration > 0 && scale > 0 ? duration / scale : null,
    samples,
    descriptions,
    fragments,
    moov: makeBox('moov', [...parts, writeTrak(best, stsd, samples.times.length)]),
  }
}

interface Trak {
  readonly id: number
  readonly enabled: boolean
  readonly handler: string
  readonly time: { readonly scale: number; readonly duration: number }
  readonly elst: Uint8Array | null
  /** Bodies of the tables in stbl (including stsd) by kind. */
  readonly tables: ReadonlyMap<string, Uint8Array>
  readonly isEmpty: boolean
  /** Header boxes that are copied. */
  readonly tkhd: Uint8Array
  readonly mdhd: Uint8Array
}

function readTrak(moov: Uint8Array, trak: Box): Trak {
  const body = (...path: string[]): Uint8Array | null => {
    const box = findBox(moov, trak.body, trak.end, ...path)
    return box === null ? null : moov.subarray(box.body, box.end)
  }
  const tkhd = body('tkhd') ?? new Uint8Array(0)
  const mdhd = body('mdia', 'mdhd') ?? new Uint8Array(0)
  const hdlr = body('mdia', 'hdlr') ?? new Uint8Array(0)
  const stbl = findBox(moov, trak.body, trak.end, 'mdia', 'minf', 'stbl')
  const tables = new Map<string, Uint8Array>()
  if (stbl !== null)
    for (const box of boxesIn(moov, stbl.body, stbl.end))
      if (TABLES.has(box.kind)) tables.set(box.kind, moov.subarray(box.body, box.end))
  const id = tkhd.length < 24 ? 0 : viewOf(tkhd).getUint32(tkhd[0] === 1 ? 20 : 12)
  const handler = String.fromCharCode(...hdlr.subarray(8, 12))
  const sizes = tables.get('stsz') ?? tables.get('stz2')
  const isEmpty = sizes === undefined || sizes.length < 12 || viewOf(sizes).getUint32(8) === 0
  return {
    id,
    enabled: ((tkhd[3] ?? 0) & 1) === 1,
    handler,
    time: scaleOf(mdhd),
    elst: body('edts', 'elst'),
    tables,
    isEmpty,
    tkhd,
    mdhd,
  }
}

const TABLES: ReadonlySet<string> = new Set([
  'stsd',
  'stts',
  'ctts',
  'stss',
  'stsz',
  'stz2',
  'stsc',
  'stco',
  'co64',
])

/** Returns ticks per second and duration from mvhd or mdhd. */
function scaleOf(body: Uint8Array): { scale: number; duration: number } {
  const view = viewOf(body)
  if (body[0] === 1 && body.length >= 32)
    return { scale: view.getUint32(20), duration: Number(view.getBigUint64(24)) }
  if (body.length < 20) return { scale: 0, duration: 0 }
  const duration = view.getUint32(16)
  return { scale: view.getUint32(12), duration: duration === 0xffffffff ? 0 : duration }
}

function readDefaults(moov: Uint8Array, mvex: Box): Map<number, FragmentDefaults> {
  const defaults = new Map<number, FragmentDefaults>()
  for (const box of boxesIn(moov, mvex.body, mvex.end)) {
    if (box.kind !== 'trex' || box.end - box.body < 24) continue
    const view = viewOf(moov.subarray(box.body, box.end))
    const [track, description, duration, size, flags] = [4, 8, 12, 16, 20].map((at) =>
      view.getUint32(at),
    ) as [number, number, number, number, number]
    defaults.set(track, { description, duration, size, flags })
  }
  return defaults
}

function trimmedMvex(moov: Uint8Array, mvex: Box, track: number): Uint8Array {
  const kept: Uint8Array[] = []
  for (const box of boxesIn(moov, mvex.body, mvex.end)) {
    if (
      box.kind === 'trex' &&
      box.end - box.body >= 24 &&
      viewOf(moov).getUint32(box.body + 4) === track
    )
      kept.push(boxBytes(moov, box))
  }
  return makeBox('mvex', kept.slice(0, 1))
}

/** Returns all sample descriptions, and an stsd with the first one that is used. */
function readDescriptions(
  body: Uint8Array | undefined,
  first: number,
): { descriptions: Description[]; stsd: Uint8Array } {
  const entries =
    body === undefined
      ? []
      : [...boxesIn(body, 8, body.length)].map((box) => describeEntry(boxBytes(body, box)))
  const chosen = entries[first - 1] ?? entries[0]
  return {
    descriptions: entries,
    stsd: makeBox('stsd', [
      new Uint8Array([0, 0, 0, 0, 0, 0, 0, chosen === undefined ? 0 : 1]),
      ...(chosen === undefined ? [] : [chosen.entry]),
    ]),
  }
}

function writeTrak({ tkhd, mdhd, tables }: Trak, stsd: Uint8Array, count: number): Uint8Array {
  const handler = new Uint8Array(24)
  handler.set(
    [...'vide'].map((letter) => letter.charCodeAt(0)),
    8,
  )
  const stbl = [stsd, ...[...exactTables(tables, count)].map(([kind, body]) => makeBox(kind, body))]
  const minf = makeBox('minf', [makeBox('stbl', stbl)])
  return makeBox('trak', [
    makeBox('tkhd', [tkhd]),
    makeBox('mdia', [makeBox('mdhd', [mdhd]), makeBox('hdlr', [handler]), minf]),
  ])
}

function boxBytes(bytes: Uint8Array, { at, end }: Box): Uint8Array {
  return bytes.subarray(at, end)
}
