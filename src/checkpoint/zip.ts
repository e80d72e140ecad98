/**
 * The zip container: its directory and the place of each entry's data. Sizes are taken from the
 * central directory only, because a streamed entry has none in its local header.
 *
 *     [local header | name | extra | data | (sizes)] ...
 *     central directory  [zip64 end | locator]  end
 *
 * Reference: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory),
 * 4.3.14-16 (ends), 4.5.3 (zip64 field).
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { decodeText } from '../platform/web.ts'
import type { Source } from './source.ts'

/** Entries in a zip at most: a model has hundreds. */
const MAX_ENTRIES = 100_000
/** Bytes of the central directory at most: it is read in one piece. */
const MAX_DIRECTORY = 1 << 26
const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46
const END_BYTES = 22
const STORED = 0
const DEFLATED = 8
/** Flag bits: encrypted, strong encryption, masked directory. */
const ENCRYPTED = 0x1 | 0x40 | 0x2000
/** A deflated byte becomes 1032 at most: 258 bytes from two codes of a bit each. */
const MAX_INFLATION = 1032

/** One file inside a zip, as the central directory has it. */
export interface ZipEntry {
  readonly name: string
  /** Why its contents cannot be read; null if they can. */
  readonly refusal: string | null
  readonly flags: number
  /** Compression. */
  readonly method: number
  readonly deflated: boolean
  /** CRC-32 of the contents. */
  readonly crc: number
  /** Bytes in the zip. */
  readonly packed: number
  /** Bytes of the contents. */
  readonly size: number
  /** Offset of its local header. */
  readonly at: number
  /** Offset of what follows: the next local header or the directory. */
  readonly limit: number
}

/** Fills `into` with the bytes of a zip from `offset` on. */
export type ReadAt = (offset: number, into: Uint8Array) => Promise<void>

/**
 * Reads the entries of a zip, in the order of their data.
 * @throws TrecvitError when the directory is missing or damaged, or an entry is repeated or
 *   overlaps another
 */
export async function readDirectory(source: Source): Promise<ZipEntry[]> {
  const file = quote(source.name)
  const { count, at, bytes } = await findDirectory(source)
  if (count > MAX_ENTRIES)
    throw new TrecvitError(
      `Checkpoint ${file} holds ${count} entries, more than the ${MAX_ENTRIES} that are read`,
    )
  if (bytes > MAX_DIRECTORY || at + bytes > source.size) throw damaged(file)
  const directory = new Uint8Array(bytes)
  await source.read(at, directory)
  const entries = parseEntries(directory, count, file)
  entries.sort((a, b) => a.at - b.at)
  const names = new Set<string>()
  return entries.map((entry, i) => {
    const limit = entries[i + 1]?.at ?? at
    if (names.has(entry.name))
      throw new TrecvitError(`Checkpoint ${file} holds two entries named ${quote(entry.name)}`)
    names.add(entry.name)
    if (entry.at + LOCAL_BYTES + entry.packed > limit) throw overlap(entry, file)
    return { ...entry, limit }
  })
}

/**
 * Where the central directory is: the end record is found from behind, its comment reaching exactly
 * to the end of the file.
 */
async function findDirectory(
  source: Source,
): Promise<{ count: number; at: number; bytes: number }> {
  const file = quote(source.name)
  const tail = new Uint8Array(Math.min(source.size, END_BYTES + 0xffff))
  const tailAt = source.size - tail.length
  await source.read(tailAt, tail)
  const view = viewOf(tail)
  let end = tail.length - END_BYTES
  while (
    end >= 0 &&
    !(
      view.getUint32(end, true) === 0x06054b50 &&
      view.getUint16(end + 20, true) === tail.length - end - END_BYTES
    )
  )
    end--
  if (end < 0)
    throw new TrecvitError(
      `Checkpoint ${file} has no zip directory at its end: it is cut short or damaged`,
    )
  const locator = end - 20
  if (locator >= 0 && view.getUint32(locator, true) === 0x07064b50) {
    const record = new Uint8Array(56)
    await source.read(whole(view, locator + 8, file), record)
    const end64 = viewOf(record)
    if (end64.getUint32(0, true) !== 0x06064b50) throw damaged(file)
    return {
      count: whole(end64, 32, file),
      bytes: whole(end64, 40, file),
      at: whole(end64, 48, file),
    }
  }
  if (view.getUint16(end + 4, true) !== 0)
    throw new TrecvitError(`Checkpoint ${file} is one part of a split zip: join the parts`)
  return {
    count: view.getUint16(end + 10, true),
    bytes: view.getUint32(end + 12, true),
    at: view.getUint32(end + 16, true),
  }
}

function parseEntries(
  directory: Uint8Array,
  count: number,
  file: string,
): Omit<ZipEntry, 'limit'>[] {
  const view = viewOf(directory)
  const entries = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > directory.length || view.getUint32(at, true) !== 0x02014b50)
      throw damaged(file)
    const flags = view.getUint16(at + 8, true)
    const method = view.getUint16(at + 10, true)
    const nameEnd = at + CENTRAL_BYTES + view.getUint16(at + 28, true)
    const extraEnd = nameEnd + view.getUint16(at + 30, true)
    const next = extraEnd + view.getUint16(at + 32, true)
    if (next > directory.length) throw damaged(file)
    const { name, isText } = decodeName(directory.subarray(at + CENTRAL_BYTES, nameEnd))
    const what = `Entry ${quote(name)} of ${file}`
    const refusal = !isText
      ? `Checkpoint ${file} has an entry whose name is not UTF-8: rename it`
      : flags & ENCRYPTED
        ? `${what} is encrypted: save it without a password`
        : method !== STORED && method !== DEFLATED
          ? `${what} is compressed by method ${method}: store or deflate it`
          : null
    const wide = zip64Fields(directory.subarray(nameEnd, extraEnd), file)
    const field = (offset: number): number => {
      const value = view.getUint32(at + offset, true)
      return value === 0xffffffff ? wide() : value
    }
    // In this order: the zip64 field holds only those that do not fit, one after the other.
    const size = field(24)
    const packed = field(20)
    const entry = {
      name,
      refusal,
      flags,
      method,
      deflated: method === DEFLATED,
      crc: view.getUint32(at + 16, true),
      packed,
      size,
      at: field(42),
    }
    const fits = entry.deflated ? size <= MAX_INFLATION * packed : size === packed
    if (refusal === null && !fits) {
      throw new TrecvitError(`${what} cannot hold ${size} bytes in ${packed}: the file is damaged`)
    }
    entries.push(entry)
    at = next
  }
  if (at !== directory.length) throw damaged(file)
  return entries
}

/** Gives the 64-bit numbers of an entry's zip64 extra field, one a call. */
function zip64Fields(extra: Uint8Array, file: string): () => number {
  const view = viewOf(extra)
  let at = 0
  let end = 0
  while (end === 0 && at + 4 <= extra.length) {
    const length = view.getUint16(at + 2, true)
    if (view.getUint16(at, true) === 1) end = Math.min(extra.length, at + 4 + length)
    at += end === 0 ? 4 + length : 4
  }
  return () => {
    if (at + 8 > end) throw damaged(file)
    at += 8
    return whole(view, at - 8, file)
  }
}

/**
 * Offset of an entry's data, behind its local header.
 * @param file name for messages, quoted
 * @throws TrecvitError when the local header is not there or disagrees with the directory, or the
 *   data runs into what follows
 */
export async function locateData(read: ReadAt, entry: ZipEntry, file: string): Promise<number> {
  const header = new Uint8Array(LOCAL_BYTES)
  await read(entry.at, header)
  const view = viewOf(header)
  const name = new Uint8Array(view.getUint16(26, true))
  const at = entry.at + LOCAL_BYTES + name.length + view.getUint16(28, true)
  const isHeader = view.getUint32(0, true) === 0x04034b50
  if (isHeader && at + entry.packed > entry.limit) throw overlap(entry, file)
  if (isHeader) await read(entry.at + LOCAL_BYTES, name)
  if (!isHeader || decodeName(name).name !== entry.name) {
    throw new TrecvitError(
      `Entry ${quote(entry.name)} is not where the directory of ${file} says: the file is damaged`,
    )
  }
  const flags = view.getUint16(6, true) ^ entry.flags
  const agrees = view.getUint16(8, true) === entry.method && (flags & ENCRYPTED) === 0
  if (entry.refusal !== null && !agrees) throw new TrecvitError(entry.refusal)
  return at
}

/** The name of an entry; byte by byte if it is not UTF-8. */
function decodeName(bytes: Uint8Array): { name: string; isText: boolean } {
  try {
    return { name: decodeText(bytes, 'utf-8', { fatal: true, ignoreBOM: true }), isText: true }
  } catch {
    return { name: decodeText(bytes, 'latin1'), isText: false }
  }
}

/** An unsigned 64-bit number that fits a double. */
function whole(view: DataView, at: number, file: string): number {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
  if (!Number.isSafeInteger(value)) throw damaged(file)
  return value
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function damaged(file: string): TrecvitError {
  return new TrecvitError(`The zip directory of ${file} is damaged: save or download it again`)
}

function overlap(entry: { name: string }, file: string): TrecvitError {
  return new TrecvitError(
    `Entry ${quote(entry.name)} of ${file} overlaps what follows it: the file is damaged`,
  )
}
