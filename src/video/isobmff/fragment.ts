/**
 * Reads sample times from fragments of MP4 files (ISO 14496-12 8.8). mediabunny 1.61 creates as
 * many entries as a run claims, so counts are checked against the available bytes first.
 */
import { viewOf } from '../../base/bytes.ts'
import { type Box, boxesIn, boxHeader, readBox } from './boxes.ts'
import type { FragmentDefaults } from './movie.ts'
import { TooManySamples } from './sampleTable.ts'

/** The samples of one track in a fragment, in decoding order. */
export interface Fragment {
  /**
   * Composition times in ticks; relative to the end of the previous fragment if `start` is null.
   */
  readonly times: readonly number[]
  readonly start: number | null
  /** Total duration of the samples in ticks. */
  readonly length: number
  /** Index of the first key sample, or -1. */
  readonly firstKey: number
  readonly description: number
  /** Bytes of the largest sample. */
  readonly largest: number
  /** The fragment for mediabunny; null if it is unchanged. */
  readonly changed: Uint8Array | null
}

/** Boxes of a track in a fragment that are read after the track's header (tfhd). */
const READ: ReadonlySet<string> = new Set(['tfdt', 'trun'])
/** Boxes that mediabunny ignores. */
const INERT: ReadonlySet<string> = new Set(['mfhd', 'free', 'skip', 'uuid', 'sbgp', 'sgpd'])
/** Largest number of boxes in one fragment. */
const MAX_BOXES = 20_000
/**
 * Largest number of samples that mediabunny sorts for a fragment. It sorts all previous samples
 * after each part of a track (traf). Writers create one part.
 */
const MAX_SORTED = 200_000
const NO_DEFAULTS: FragmentDefaults = { description: 1, duration: 0, size: 0, flags: 0 }

/**
 * Reads the samples of a track in a fragment. Boxes that are not read become padding. If the offset
 * of the track's data depends on other tracks, it is written to the fragment, because mediabunny
 * cannot compute it from padding.
 * @param moof the box with its header
 * @param place offset of the box in the file
 * @param most largest number of samples
 * @returns null if there are none
 * @throws TooManySamples
 */
export function readFragment(
  moof: Uint8Array,
  place: number,
  track: number,
  defaults: ReadonlyMap<number, FragmentDefaults>,
  most: number,
): Fragment | null {
  const samples = new Samples(moof, track)
  const view = viewOf(moof)
  const whole = readBox(view, 0, moof.length, 0)!
  let boxes = 0
  let sorted = 0
  let end = 0
  for (const traf of boxesIn(moof, whole.body, whole.end)) {
    if (++boxes > MAX_BOXES) throw new TooManySamples()
    const header = traf.kind === 'traf' ? readHeader(moof, place, traf, defaults) : null
    if (header === null || header.track !== track) samples.hide(traf)
    if (header === null) continue
    let offset = header.base ?? end
    let isFirst = true
    for (const box of boxesIn(moof, traf.body, traf.end)) {
      if (++boxes > MAX_BOXES) throw new TooManySamples()
      if (box.body === header.at) continue
      if (box.body < header.at || !READ.has(box.kind)) {
        samples.hide(box)
        continue
      }
      if (box.kind === 'tfdt') samples.begin(header, box)
      if (box.kind !== 'trun') continue
      const run = new Run(moof, box, header.defaults, most - samples.times.length)
      if (run.dataOffset !== null) offset = (header.base ?? end) + run.dataOffset
      if (header.base === null && header.track === track)
        samples.place(header, box, run, offset, isFirst)
      offset = samples.add(header, run, offset)
      isFirst = false
    }
    end = offset
    if (header.track === track) sorted += samples.times.length
    if (sorted > MAX_SORTED) throw new TooManySamples()
  }
  return samples.times.length === 0 ? null : samples
}

/** The samples of a track in a fragment. */
class Samples implements Fragment {
  readonly times: number[] = []
  start: number | null = null
  length = 0
  firstKey = -1
  description = 1
  largest = 0
  changed: Uint8Array | null = null
  readonly #moof: Uint8Array
  readonly #track: number

  constructor(moof: Uint8Array, track: number) {
    this.#moof = moof
    this.#track = track
  }

  /** Turns a box into padding. */
  hide({ kind, at }: Box): void {
    if (!INERT.has(kind)) this.#edited().set(boxHeader('free', 0).subarray(4), at + 4)
  }

  #edited(): Uint8Array {
    return (this.changed ??= new Uint8Array(this.#moof))
  }

  /** Reads the start time from tfdt. */
  begin({ track }: Header, { body, end }: Box): void {
    if (track !== this.#track || this.start !== null || end - body < 8) return
    const view = viewOf(this.#moof)
    const isLong = this.#moof[body] === 1 && end - body >= 12
    this.start = isLong ? Number(view.getBigUint64(body + 4)) : view.getUint32(body + 4)
  }

  /** Makes the offset of a run relative to the fragment (default-base-is-moof). */
  place(header: Header, { body }: Box, run: Run, offset: number, isFirst: boolean): void {
    if (isFirst && offset === 0 && run.dataOffset === null) return
    if (isFirst && run.dataOffset === null)
      throw new Error('a fragment does not say where its data begins')
    const view = viewOf(this.#edited())
    view.setUint8(header.at + 1, view.getUint8(header.at + 1) | 2)
    if (run.dataOffset !== null) view.setInt32(body + 8, offset)
  }

  /** @returns the offset after the data of the run */
  add({ track, defaults }: Header, run: Run, offset: number): number {
    for (const { size, duration, shift, isKey } of run.samples()) {
      offset += size
      if (track !== this.#track) continue
      this.description = defaults.description
      this.largest = Math.max(this.largest, size)
      if (isKey && this.firstKey < 0) this.firstKey = this.times.length
      this.times.push(this.length + shift)
      this.length += duration
    }
    return offset
  }
}

interface Header {
  /** Offset of the body of tfhd. */
  readonly at: number
  readonly track: number
  /** Offset of the data in the fragment; null if it follows the data of the previous track. */
  readonly base: number | null
  readonly defaults: FragmentDefaults
}

function readHeader(
  moof: Uint8Array,
  place: number,
  traf: Box,
  all: ReadonlyMap<number, FragmentDefaults>,
): Header | null {
  for (const box of boxesIn(moof, traf.body, traf.end)) {
    if (box.kind !== 'tfhd' || box.end - box.body < 8) continue
    const view = viewOf(moof.subarray(0, box.end))
    const flags = view.getUint32(box.body) & 0xffffff
    const track = view.getUint32(box.body + 4)
    const usual = all.get(track) ?? NO_DEFAULTS
    let at = box.body + 8 + ((flags & 1) !== 0 ? 8 : 0)
    const field = (flag: number, otherwise: number): number => {
      if ((flags & flag) === 0) return otherwise
      at += 4
      return at <= box.end ? view.getUint32(at - 4) : otherwise
    }
    const defaults = {
      description: field(2, usual.description),
      duration: field(8, usual.duration),
      size: field(16, usual.size),
      flags: field(32, usual.flags),
    }
    const isAbsolute = (flags & 1) !== 0 && box.end - box.body >= 16
    const base = isAbsolute
      ? Number(view.getBigUint64(box.body + 8)) - place
      : (flags & 0x20000) !== 0
        ? 0
        : null
    return { at: box.body, track, base, defaults }
  }
  return null
}

interface RunSample {
  readonly size: number
  readonly duration: number
  readonly shift: number
  readonly isKey: boolean
}

/** One trun box. */
class Run {
  /** Offset from the base of the track's data; null if it follows the previous run. */
  readonly dataOffset: number | null
  readonly #view: DataView
  readonly #flags: number
  readonly #count: number
  readonly #defaults: FragmentDefaults
  readonly #signed: boolean
  #at: number

  constructor(moof: Uint8Array, { body, end }: Box, defaults: FragmentDefaults, most: number) {
    this.#view = viewOf(moof.subarray(body, end))
    this.#defaults = defaults
    this.#flags = this.#view.byteLength < 8 ? 0 : this.#view.getUint32(0) & 0xffffff
    this.#signed = this.#view.byteLength > 0 && this.#view.getUint8(0) !== 0
    this.#count = this.#view.byteLength < 8 ? 0 : this.#view.getUint32(4)
    this.#at = 8
    const fields = [0x100, 0x200, 0x400, 0x800].filter((flag) => (this.#flags & flag) !== 0).length
    const head = 8 + ((this.#flags & 1) !== 0 ? 4 : 0) + ((this.#flags & 4) !== 0 ? 4 : 0)
    if (this.#count > most || head + 4 * fields * this.#count > this.#view.byteLength)
      throw new TooManySamples()
    this.dataOffset = (this.#flags & 1) !== 0 ? this.#next() | 0 : null
  }

  *samples(): Generator<RunSample> {
    const first = (this.#flags & 4) !== 0 ? this.#next() : null
    for (let i = 0; i < this.#count; i++) {
      const duration = this.#field(0x100, this.#defaults.duration)
      const size = this.#field(0x200, this.#defaults.size)
      const flags = this.#field(0x400, this.#defaults.flags)
      const shift = this.#field(0x800, 0)
      // sample_is_non_sync_sample
      const isKey = ((i === 0 && first !== null ? first : flags) & 0x10000) === 0
      yield { size, duration, shift: this.#signed ? shift | 0 : shift, isKey }
    }
  }

  #field(flag: number, otherwise: number): number {
    return (this.#flags & flag) !== 0 ? this.#next() : otherwise
  }

  #next(): number {
    this.#at += 4
    return this.#view.getUint32(this.#at - 4)
  }
}
