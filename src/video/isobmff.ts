/**
 * The structure of MP4 and MOV files, walked once before mediabunny 1.61 sees them: it believes
 * every count, and takes files apart box by box. It is given the file as it should be: one index of
 * one track, fragments that have samples, and padding in large pieces.
 */
import type { Source } from 'mediabunny'
import { TrecvitError } from '../error.ts'
import { boxHeader, MAX_HEADER, readBox, viewOf, type Box } from './boxes.ts'
import { countShown, type Edit } from './edits.ts'
import { readFragment } from './fragment.ts'
import { capital } from './media.ts'
import { readMovie, type Movie } from './movie.ts'
import { Padding, patchedSource, Pieces, type Patch, type SeekableMedia } from './pieces.ts'
import { mostFrames, TooManySamples } from './sampleTable.ts'

/** A checked MP4 or MOV file. */
export interface Isobmff {
  readonly kind: 'mp4' | 'mov'
  readonly source: Source
  readonly movie: Movie
  /** Samples from the first key sample on, as they are read. */
  readonly packets: number
  /** Of those, the ones that edits show. */
  readonly shown: number
  /** Composition times in ticks, in order of decoding. */
  readonly times: ArrayLike<number>
  /** Descriptions by mediabunny's sequence number of the first sample that they apply to. */
  readonly runs: readonly { readonly from: number; readonly description: number }[]
  /** What the file lacks, as a sentence without a subject; null when it is whole. */
  readonly cut: string | null
}

/** Boxes that MP4 and MOV files begin with. */
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
/** Brands of still pictures (ISO 23008-12). */
const STILLS: Readonly<Record<string, string>> = {
  avif: 'AVIF',
  avis: 'AVIF',
  heic: 'HEIC',
  heix: 'HEIC',
  mif1: 'HEIF',
  msf1: 'HEIF',
}
/** Bytes of an index: a few for each frame. */
const MAX_INDEX = 2 ** 28
const MAX_BOXES = 2 ** 22
/** An edit list that hides nothing. */
export const EVERYTHING: readonly Edit[] = [{ start: -Infinity, end: Infinity, at: 0 }]

/** True for bytes at the start of an MP4 or MOV file. */
export function isIsobmff(head: Uint8Array): boolean {
  const box = readBox(viewOf(head), 0, Infinity, 0)
  return box !== null && FIRST.has(box.kind)
}

/** Why a file has no tracks, as a sentence without a subject. */
export function noIndex(head: Uint8Array): string {
  const still = STILLS[String.fromCharCode(...head.subarray(8, 12))]
  const advice = 'convert it with ffmpeg -i INPUT OUTPUT.png'
  if (still !== undefined) return `is a still picture (${still}), which is not read: ${advice}`
  return 'has no index of its tracks: it was cut short, or its recording was never finished'
}

/**
 * @throws TrecvitError when there is no video, or the index names more than the file can hold
 */
export async function checkIsobmff(media: SeekableMedia, signal: AbortSignal): Promise<Isobmff> {
  const walk = new Walk(media, new Pieces(media, signal))
  try {
    return await walk.run()
  } catch (error) {
    if (!(error instanceof TooManySamples)) throw error
    throw new TrecvitError(
      `${capital(media.name)} has an index that names more frames than the file can hold: ` +
        'it is damaged',
    )
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
  /** Ticks at which the next fragment begins that does not tell. */
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
    for (let at = 0; at + 8 <= size;) {
      // Without a wait for each box: there can be a hundred thousand in a megabyte.
      if (pieces.isTired) await pieces.pause()
      if (!pieces.holds(at, MAX_HEADER)) await pieces.load(at, MAX_HEADER)
      const box = readBox(pieces.view, at - pieces.start, size, at)
      if (box === null) break
      this.#first ??= box
      if (++boxes > MAX_BOXES) throw this.#fault(`has more than ${MAX_BOXES} boxes: it is damaged`)
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
    if (this.#movie === null) throw this.#noIndex()
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

  /** mediabunny knows a file by its first box. */
  #patchFirst(box: Box): void {
    if (box.kind !== 'ftyp') this.#patches.push({ at: 4, bytes: boxHeader('ftyp', 0).subarray(4) })
  }

  async #index(box: Box): Promise<void> {
    this.#padding.end()
    const size = box.end - box.at
    if (size > MAX_INDEX)
      throw this.#fault(`has an index of ${size} bytes: at most ${MAX_INDEX} are read`)
    const movie = readMovie(await this.#pieces.at(box.at, size), this.#media.size)
    if (Array.isArray(movie)) {
      throw movie.length > 0
        ? this.#fault(`has no video, only ${movie.join(' and ')}: give a file with a video track`)
        : this.#noIndex()
    }
    const brand = box.at === 0 ? boxHeader('ftyp', 16) : null
    const room = size - movie.moov.length - (brand === null ? 0 : 16)
    if (room < 8) throw this.#fault('has an index whose boxes overlap: it is damaged')
    const bytes = new Uint8Array(size)
    if (brand !== null) bytes.set(brand)
    bytes.set(movie.moov, brand === null ? 0 : 16)
    bytes.set(boxHeader('free', room), size - room)
    this.#patches.push({ at: box.at, bytes })
    this.#movie = movie
  }

  async #loadFragment(box: Box, movie: Movie): Promise<void> {
    const size = box.end - box.at
    if (size > MAX_INDEX)
      throw this.#fault(
        `has a fragment with an index of ${size} bytes: at most ${MAX_INDEX} are read`,
      )
    await this.#pieces.load(box.at, size)
    this.#fragment(box, movie)
  }

  /** A fragment in memory; one without samples of the track is padding. */
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
    const { samples } = movie
    const isTable = samples.times.length > 0
    const times = isTable ? samples.times : this.#times
    const firstKey = isTable ? samples.firstKey : this.#firstKey < 0 ? times.length : this.#firstKey
    return {
      kind: this.#isQuickTime() ? 'mov' : 'mp4',
      source: patchedSource(
        this.#media,
        this.#patches.sort((a, b) => a.at - b.at),
        end,
      ),
      movie,
      packets: times.length - firstKey,
      shown: countShown(times, firstKey, movie.edits?.edits ?? EVERYTHING),
      times,
      runs: isTable ? samples.runs : this.#runs,
      cut: this.#cut,
    }
  }

  #isQuickTime(): boolean {
    const { head } = this.#media
    return this.#first!.kind !== 'ftyp' || String.fromCharCode(...head.subarray(8, 12)) === 'qt  '
  }

  #noIndex(): TrecvitError {
    return this.#fault(noIndex(this.#media.head))
  }

  #fault(text: string): TrecvitError {
    return new TrecvitError(`${capital(this.#media.name)} ${text}`)
  }
}
