/**
 * Converts the index of an MP4 or MOV file (moov) for mediabunny, and returns errors about it.
 */
import { TrecvitError } from '../../base/error.ts'
import { CONVERT } from '../codec/kinds.ts'
import { capital } from '../source/media.ts'
import { boxHeader } from './boxes.ts'
import { splitEdits } from './edits.ts'
import { type Movie, readMovie } from './movie.ts'
import { mostFrames, TooManySamples } from './sampleTable.ts'

/** Names of still pictures (ISO 23008-12) by brand. */
const STILLS: Readonly<Record<string, string>> = {
  avif: 'AVIF',
  avis: 'AVIF',
  heic: 'HEIC',
  heix: 'HEIC',
  mif1: 'HEIF',
  msf1: 'HEIF',
}
/** Largest index in bytes: a few for each frame. */
const MAX_INDEX = 2 ** 28
/** Largest number of passes of an edit list. Each pass starts a decoder. */
const MAX_PASSES = 100

/** The name and the first bytes of a media, for messages. */
interface Named {
  readonly name: string
  readonly head: Uint8Array
}

/** Returns why a file has no tracks, as a sentence without a subject. */
export function noIndex(head: Uint8Array): string {
  const still = STILLS[String.fromCharCode(...head.subarray(8, 12))]
  const advice = 'convert it with ffmpeg -i INPUT OUTPUT.png'
  if (still !== undefined) return `is a still picture (${still}), which is not read: ${advice}`
  return 'has no index of its tracks: it was cut short, or its recording was never finished'
}

/** Returns an error about a file or stream. */
export function faultOf({ name }: Named, text: string): TrecvitError {
  return new TrecvitError(`${capital(name)} ${text}`)
}

/** Converts an error of the parser to a readable one. */
export function refusal(named: Named, error: unknown): unknown {
  if (!(error instanceof TooManySamples)) return error
  return faultOf(named, 'has an index that names more frames than the file can hold: it is damaged')
}

/** @throws TrecvitError if an index of a file or fragment is too large */
export function checkIndexSize(named: Named, kind: string, size: number): void {
  if (size <= MAX_INDEX) return
  const what = kind === 'moof' ? 'a fragment with an index' : 'an index'
  throw faultOf(named, `has ${what} of ${size} bytes: at most ${MAX_INDEX} are read`)
}

/**
 * Reads an index.
 * @param moov the box with its header
 * @param isFirst whether it is the first box, by which mediabunny recognises the file
 * @param size bytes of the file; null: unknown
 * @param most largest number of samples
 * @returns the movie, and the bytes that replace the box for mediabunny
 * @throws TooManySamples
 * @throws TrecvitError if there is no video
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
