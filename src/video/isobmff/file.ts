/**
 * Checks the structure of MP4 and MOV files once, before mediabunny 1.61 reads them. mediabunny
 * trusts every count, and parses files box by box. It therefore reads a corrected file: an index of
 * only one track, fragments with samples, and padding in large pieces.
 */

import type { Source } from 'mediabunny'
import { viewOf } from '../../base/bytes.ts'
import {
  Padding,
  type Patch,
  Pieces,
  patchedSource,
  type SeekableMedia,
} from '../container/pieces.ts'
import { type Box, boxHeader, MAX_HEADER, readBox } from './boxes.ts'
import { countShown, type Edit } from './edits.ts'
import { readFragment } from './fragment.ts'
import type { Movie } from './movie.ts'
import { checkIndexSize, faultOf, noIndex, patchIndex, refusal } from './movieIndex.ts'
import { mostFrames } from './sampleTable.ts'

/** A checked MP4 or MOV file. */
export interface Isobmff {
  readonly kind: 'mp4' | 'mov'
  readonly source: Source
  readonly movie: Movie
  /**
   * Number of samples from the first key sample on. For a stream of fragments, those received so
   * far.
   */
  readonly packets: number
  /** Number of these samples that edits show; null: unknown. */
  readonly shown: number | null
  /** Composition times in ticks, in decoding order. */
  readonly times: ArrayLike<number>
  /** Sample descriptions, by mediabunny's sequence number of their first sample. */
  readonly runs: readonly { readonly from: number; readonly description: number }[]
  /**
   * What the file lacks, as a sentence without a subject; null if it is complete. For a stream,
   * what is known so far.
   */
  readonly cut: string | null
}

/** Kinds of the first box of MP4 and MOV files. */
const FIRST: ReadonlySet<string> = new Set([
  'ftyp',
  'styp',
  'moov',
  'mdat',
  'wide',
  'free',
  'skip',
  'pnot',
  'moof',
  'sidx',
])
const MAX_BOXES = 2 ** 22
/** An edit list that shows everything. */
export const EVERYTHING: readonly Edit[] = [{ start: -Infinity, end: Infinity, at: 0 }]

/** Whether the bytes are the start of an MP4 or MOV file. */
export function isIsobmff(head: Uint8Array): boolean {
  const box = readBox(viewOf(head), 0, Infinity, 0)
  return box !== null && FIRST.has(box.kind)
}

/**
 * @throws TrecvitError if there is no video, or the index has more samples than the file can
 * contain
 */
export async function checkIsobmff(media: SeekableMedia, signal: AbortSignal): Promise<Isobmff> {
  const walk = new Walk(media, new Pieces(media, signal))
  try {
    return await walk.run()
  } catch (error) {
    throw refusal(media, error)
  }
}

class Walk {
  readonly #media: SeekableMedia
  readonly #pieces: Pieces
  readonly #patches: Patch[] = []
  readonly #times: number[] = []
  readonly #runs: { from: number; description: number }[] = []
  #movie: Movie | null = null
  #first: Box | null = null
  #firstKey = -1
  /** Start in ticks of the next fragment, if it does not contain its start. */
  #next = 0
  readonly #padding: Padding
  #cut: string | null = null

  constructor(media: SeekableMedia, pieces: Pieces) {
    this.#media = media
    this.#pieces = pieces
    this.#padding = new Padding(this.#patches, (length) => boxHeader('free', length), 2 ** 32 - 1)
  }

  async run(): Promise<Isobmff> {
    const { size } = this.#media
    let end = size
    let boxes = 0
    const pieces = this.#pieces
    for (let at = 0; at + 8 <= size; ) {
      // Awaits only when necessary: a megabyte can contain a hundred thousand boxes.
      if (pieces.isPauseDue) await pieces.pause()
      if (!pieces.holds(at, MAX_HEADER)) await pieces.load(at, MAX_HEADER)
      const box = readBox(pieces.view, at - pieces.start, size, at)
      if (box === null) break
      this.#first ??= box
      if (++boxes > MAX_BOXES)
        throw faultOf(this.#media, `has more than ${MAX_BOXES} boxes: it is damaged`)
      if (box.end > size && (box.kind === 'moof' || box.kind === 'moov')) {
        const what = box.kind === 'moof' ? 'fragment' : 'index'
        this.#cut = `is cut short: the ${what} at byte ${at} is not complete`
        end = at
        break
      }
      const seen = this.#see(box)
      if (seen !== undefined) await seen
      at = box.end
    }
    this.#padding.end()
    if (this.#movie === null) throw faultOf(this.#media, noIndex(this.#media.head))
    return this.#result(this.#movie, end)
  }

  #see(box: Box): Promise<void> | void {
    if (box.kind === 'moov' && this.#movie === null) return this.#index(box)
    if (box.kind === 'moof' && this.#movie?.fragments) {
      const length = box.end - box.at
      return this.#pieces.holds(box.at, length)
        ? this.#fragment(box, this.#movie)
        : this.#loadFragment(box, this.#movie)
    }
    if (box.at === 0) this.#patchFirst(box)
    else this.#padding.add(box.at, box.end)
  }

  /** Renames the first box, by which mediabunny recognises the file. */
  #patchFirst(box: Box): void {
    if (box.kind !== 'ftyp') this.#patches.push({ at: 4, bytes: boxHeader('ftyp', 0).subarray(4) })
  }

  async #index(box: Box): Promise<void> {
    this.#padding.end()
    const size = box.end - box.at
    checkIndexSize(this.#media, box.kind, size)
    const moov = await this.#pieces.at(box.at, size)
    const { movie, bytes } = patchIndex(this.#media, moov, box.at === 0, this.#media.size)
    this.#patches.push({ at: box.at, bytes })
    this.#movie = movie
  }

  async #loadFragment(box: Box, movie: Movie): Promise<void> {
    const size = box.end - box.at
    checkIndexSize(this.#media, box.kind, size)
    await this.#pieces.load(box.at, size)
    this.#fragment(box, movie)
  }

  /** Checks a fragment in memory. One without samples of the track becomes padding. */
  #fragment(box: Box, movie: Movie): void {
    const from = box.at - this.#pieces.start
    const original = this.#pieces.bytes.subarray(from, from + box.end - box.at)
    const most = mostFrames(this.#media.size) - this.#times.length
    const fragment = readFragment(original, box.at, movie.track, movie.fragments!, most)
    if (fragment === null) return this.#padding.add(box.at, box.end)
    this.#padding.end()
    if (fragment.changed !== null) this.#patches.push({ at: box.at, bytes: fragment.changed })
    const start = fragment.start ?? this.#next
    if (this.#firstKey < 0 && fragment.firstKey >= 0)
      this.#firstKey = this.#times.length + fragment.firstKey
    if (this.#runs.at(-1)?.description !== fragment.description)
      this.#runs.push({ from: box.at, description: fragment.description })
    for (const time of fragment.times) this.#times.push(start + time)
    this.#next = start + fragment.length
  }

  #result(movie: Movie, end: number): Isobmff {
    const source = patchedSource(
      this.#media,
      this.#patches.sort((a, b) => a.at - b.at),
      end,
    )
    const known = { kind: kindOf(this.#first!, this.#media.head), source, movie, cut: this.#cut }
    if (movie.samples.times.length > 0) return { ...known, ...tableOf(movie) }
    const times = this.#times
    const firstKey = this.#firstKey < 0 ? times.length : this.#firstKey
    const shown = countShown(times, firstKey, movie.edits?.edits ?? EVERYTHING)
    return { ...known, packets: times.length - firstKey, shown, times, runs: this.#runs }
  }
}

/** Returns the properties of the samples in an index. */
export function tableOf({
  samples: { times, firstKey, runs },
  edits,
}: Movie): Pick<Isobmff, 'packets' | 'shown' | 'times' | 'runs'> {
  const shown = countShown(times, firstKey, edits?.edits ?? EVERYTHING)
  return { packets: times.length - firstKey, shown, times, runs }
}

/** @param first the first box of the file */
export function kindOf(first: Box, head: Uint8Array): 'mov' | 'mp4' {
  const brand = String.fromCharCode(...head.subarray(8, 12))
  return first.kind !== 'ftyp' || brand === 'qt  ' ? 'mov' : 'mp4'
}
