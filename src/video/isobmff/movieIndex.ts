/**
 * The index of an MP4 or MOV file (moov) as mediabunny should see it, and why one is refused.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { capital } from '../source/media.ts'
import { boxHeader } from './boxes.ts'
import { splitEdits } from './edits.ts'
import { type Movie, readMovie } from './movie.ts'
import { mostFrames, TooManySamples } from './sampleTable.ts'

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
/** Passes over the media that an edit list may ask for: each starts a decoder. */
const MAX_PASSES = 100

/** The names and the first bytes of what is read, for messages. */
interface Named {
  readonly name: string
  readonly head: Uint8Array
}

/** Why a file has no tracks, as a sentence without a subject. */
export function noIndex(head: Uint8Array): string {
  const still = STILLS[String.fromCharCode(...head.subarray(8, 12))]
  const advice = 'convert it with ffmpeg -i INPUT OUTPUT.png'
  if (still !== undefined) return `is a still picture (${still}), which is not read: ${advice}`
  return 'has no index of its tracks: it was cut short, or its recording was never finished'
}

/** An error about a file or stream. */
export function faultOf({ name }: Named, text: string): TrecvitError {
  return new TrecvitError(`${capital(name)} ${text}`)
}

/** An error of a walk as a sentence. */
export function refusal(named: Named, error: unknown): unknown {
  if (!(error instanceof TooManySamples)) return error
  return faultOf(named, 'has an index that names more frames than the file can hold: it is damaged')
}

/** @throws TrecvitError when an index, of the file or of a fragment, is too large */
export function checkIndexSize(named: Named, kind: string, size: number): void {
  if (size <= MAX_INDEX) return
  const what = kind === 'moof' ? 'a fragment with an index' : 'an index'
  throw faultOf(named, `has ${what} of ${size} bytes: at most ${MAX_INDEX} are read`)
}

/**
 * Reads an index.
 * @param moov the box with its header
 * @param isFirst whether the file begins with it: mediabunny knows a file by its first box
 * @param size bytes of the file; null: unknown
 * @param most samples that may be named
 * @returns the movie, and the bytes that mediabunny should see instead of the box
 * @throws TooManySamples
 * @throws TrecvitError when there is no video
 */
export function patchIndex(
  named: Named,
  moov: Uint8Array,
  isFirst: boolean,
  size: number | null,
  most: number = mostFrames(size),
): { movie: Movie; bytes: Uint8Array } {
  const movie = readMovie(moov, size, most)
  if (Array.isArray(movie)) {
    throw movie.length > 0
      ? faultOf(named, `has no video, only ${movie.join(' and ')}: give a file with a video track`)
      : faultOf(named, noIndex(named.head))
  }
  const passes = splitEdits(movie.edits?.edits ?? []).length
  if (passes > MAX_PASSES)
    throw faultOf(named, `has an edit list that goes back ${passes - 1} times: ${CONVERT}`)
  const brand = isFirst ? boxHeader('ftyp', 16) : new Uint8Array(0)
  const offset = isFirst ? 16 : 0
  const room = moov.length - movie.moov.length - offset
  if (room < 8) throw faultOf(named, 'has an index whose boxes overlap: it is damaged')
  const bytes = new Uint8Array(moov.length)
  bytes.set(brand)
  bytes.set(movie.moov, offset)
  bytes.set(boxHeader('free', room), moov.length - room)
  return { movie, bytes }
}
