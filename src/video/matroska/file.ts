/**
 * Checks Matroska and WebM files before mediabunny 1.61 reads them. mediabunny reports no error for
 * a file that is cut short, and reads only the first of several concatenated files.
 */
import type { Source } from 'mediabunny'
import { TrecvitError } from '../../base/error.ts'
import { Pieces, patchedSource, type SeekableMedia } from '../container/pieces.ts'
import { capital } from '../source/media.ts'
import { type Element, elementsIn, MAX_HEADER, readElement, unsigned } from './elements.ts'
import { ID } from './ids.ts'
import { Segment } from './segment.ts'
import type { MatroskaTrack } from './tracks.ts'

/** A checked Matroska file, or one of several concatenated files. */
export interface Matroska {
  readonly kind: 'webm' | 'mkv'
  readonly source: Source
  readonly track: MatroskaTrack
  /**
   * What the file lacks, as a sentence without a subject; null if nothing is known to be missing.
   */
  readonly cut: string | null
  /**
   * Must be called after the part was read. Returns how its recording was interrupted, as a clause,
   * and the file that follows.
   */
  rest(): Promise<{ readonly interrupted: string | null; readonly next: Matroska | null }>
}

const DOC_TYPE = 0x4282
/** Bytes that are checked when a file is opened. The rest is checked while it is read. */
const EAGER = 2 ** 22
const MAX_HEADER_BODY = 2 ** 12
/** Largest number of elements between two files. */
const MAX_BETWEEN = 1000

/** Whether the bytes are the start of a Matroska or WebM file. */
export function isMatroska(head: Uint8Array): boolean {
  return unsigned(head, 0, 4) === ID.ebml
}

/**
 * @param start offset of the EBML header
 * @throws TrecvitError if there is no video, or there are invalid bytes between elements
 */
export async function checkMatroska(
  media: SeekableMedia,
  signal: AbortSignal,
  start: number = 0,
): Promise<Matroska> {
  const { size } = media
  const fault = (text: string): TrecvitError => new TrecvitError(`${capital(media.name)} ${text}`)
  const pieces = new Pieces(media, signal)
  const header = await readHeader(pieces, start)
  if (header === null) throw fault(NO_INDEX)
  const segmentEnd = header.segment.end ?? Infinity
  const segment = new Segment(media, pieces, header.segment.body, segmentEnd)
  let eager = start
  do await segment.advance((eager += EAGER))
  while (segment.track === null && !segment.isOver)
  const { track } = segment
  if (track === null) throw fault(NO_INDEX)
  if (track.fault !== null) throw fault(`has video that is ${track.fault}`)
  const end = Math.min(size, segment.next ?? segmentEnd)
  const source = patchedSource(media, segment.patches, end, (to) => segment.advance(to))
  const lost = segmentEnd === Infinity ? 0 : Math.max(0, segmentEnd - size)
  return {
    kind: header.kind,
    source: start === 0 ? source : source.slice(start),
    track,
    cut: lost > 0 ? `is cut short: its last ${lost} bytes are missing` : null,
    async rest() {
      await segment.advance(size)
      const at = segment.next ?? (await findNext(pieces, segmentEnd))
      const next = at === null ? null : await checkMatroska(media, signal, at)
      return { interrupted: segment.interrupted, next }
    },
  }
}

const NO_INDEX = 'has no index of its tracks: it was cut short, or its recording was never finished'

/**
 * Reads the EBML header and the header of the segment after it. Returns null if they are missing.
 */
async function readHeader(
  pieces: Pieces,
  start: number,
): Promise<{ kind: Matroska['kind']; segment: Element } | null> {
  const header = await elementAt(pieces, start)
  const length = (header?.end ?? Infinity) - start
  if (header === null || length > MAX_HEADER_BODY) return null
  const bytes = await pieces.at(start, length)
  let kind: Matroska['kind'] = 'mkv'
  for (const { id, body, end } of elementsIn(bytes, header.body - start, bytes.length)) {
    const text = id === DOC_TYPE ? String.fromCharCode(...bytes.subarray(body, end)) : ''
    if (text.startsWith('webm')) kind = 'webm'
  }
  const segment = await elementAt(pieces, header.end!)
  return segment?.id === ID.segment ? { kind, segment } : null
}

/** Searches for another file after a segment of known size. */
async function findNext(pieces: Pieces, from: number): Promise<number | null> {
  let at = from
  for (let i = 0; i < MAX_BETWEEN && at + MAX_HEADER <= pieces.size; i++) {
    const element = await elementAt(pieces, at)
    if (element?.id === ID.ebml) return at
    if (element === null || element.end === null) return null
    if (element.id !== ID.void && element.id !== ID.crc) return null
    at = element.end
  }
  return null
}

async function elementAt(pieces: Pieces, at: number): Promise<Element | null> {
  return readElement(await pieces.at(at, MAX_HEADER), 0, at)
}
