/**
 * Matroska and WebM as they come, checked element by element before mediabunny 1.61 sees them:
 * between elements that are none it searches for ever.
 */
import { TrecvitError } from '../base/error.ts'
import { ByteReader } from './byteReader.ts'
import { streamOf } from './filter.ts'
import { capital } from './media.ts'

const EBML = 0x1a45dfa3
const SEGMENT = 0x18538067
const CLUSTER = 0x1f43b675
/** Elements of a segment: SeekHead, Info, Tracks, Cluster, Cues, Attachments, Chapters, Tags. */
const IN_SEGMENT: ReadonlySet<number> = new Set([
  0x114d9b74,
  0x1549a966,
  0x1654ae6b,
  CLUSTER,
  0x1c53bb6b,
  0x1941a469,
  0x1043a770,
  0x1254c367,
])
/** Elements that may be anywhere: Void and CRC-32. */
const ANYWHERE: ReadonlySet<number> = new Set([0xec, 0xbf])
/** Bytes of the longest identifier and length. */
const MAX_HEADER = 12

/** True for bytes at the start of a Matroska or WebM file. */
export function isMatroska(head: Uint8Array): boolean {
  return [0x1a, 0x45, 0xdf, 0xa3].every((byte, i) => byte === head[i])
}

/**
 * The same bytes. The stream ends in a TrecvitError where something else than an element begins,
 * and without one where it is cut short.
 * @param name for messages
 */
export function checkedMatroska(
  stream: ReadableStream<Uint8Array>,
  name: string,
): ReadableStream<Uint8Array> {
  const reader = new ByteReader(stream)
  return streamOf(elements(reader, name), () => reader.cancel())
}

interface Header {
  readonly id: number
  /** null: unknown, up to the next element that cannot be a part. */
  readonly size: number | null
  readonly bytes: Uint8Array
}

/** Headers and contents, in pieces as they come. */
async function* elements(reader: ByteReader, name: string): AsyncGenerator<Uint8Array, void> {
  let at = 0
  /** Where the cluster ends that is read; infinite when it does not tell. */
  let end = 0
  for (let header = await readHeader(reader); header !== null; header = await readHeader(reader)) {
    const { id, size, bytes } = header
    const isTop = IN_SEGMENT.has(id) || id === EBML || id === SEGMENT
    if (isTop && end === Infinity) end = 0
    const isOpen = id === SEGMENT || id === CLUSTER
    const isPart =
      at < end ? id > 0 && !isTop && at + bytes.length + size! <= end : isTop || ANYWHERE.has(id)
    if (!isPart || (size === null && !isOpen)) {
      throw new TrecvitError(
        `${capital(name)} is damaged at byte ${at}: a part of a Matroska file should begin there`,
      )
    }
    yield bytes
    at += bytes.length
    if (id === CLUSTER) end = size === null ? Infinity : at + size
    if (isOpen) continue
    for await (const part of reader.parts(size!)) {
      yield part
      at += part.length
    }
  }
}

/** Null at the end of the stream; an identifier of 0 where there is none. */
async function readHeader(reader: ByteReader): Promise<Header | null> {
  const bytes = new Uint8Array(MAX_HEADER)
  let length = 0
  const read = async (count: number): Promise<boolean> => {
    length += count
    return (await reader.fill(bytes.subarray(length - count, length))) === count
  }
  if (!(await read(1))) return null
  const idLength = Math.clz32(bytes[0]!) - 23
  if (idLength > 4) return { id: 0, size: null, bytes }
  // The rest of the identifier, and the first byte of the length.
  if (!(await read(idLength))) return null
  const more = Math.clz32(bytes[idLength]!) - 24
  if (more > 7) return { id: 0, size: null, bytes }
  if (!(await read(more))) return null
  const id = bytes.subarray(0, idLength).reduce((value, byte) => value * 256 + byte, 0)
  const digits = bytes.slice(idLength, length)
  digits[0]! &= 0x7f >> more
  const isUnknown = digits.every((byte, i) => byte === (i === 0 ? 0x7f >> more : 0xff))
  const size = isUnknown ? null : digits.reduce((value, byte) => value * 256 + byte, 0)
  return { id, size, bytes: bytes.subarray(0, length) }
}
