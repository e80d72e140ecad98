/**
 * The central directory of a zip: names, sizes and offsets of its entries.
 */
import { viewOf } from '../base/bytes.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { Source } from './source.ts'
import { decodeName, ENCRYPTED, LOCAL_BYTES, overlap, type ZipEntry } from './zip.ts'

/** Largest number of entries. A model has hundreds. */
const MAX_ENTRIES = 100_000
/** Largest central directory in bytes. It is read in one piece. */
const MAX_DIRECTORY = 1 << 26
const CENTRAL_BYTES = 46
const END_BYTES = 22
const STORED = 0
const DEFLATED = 8
/** Largest expansion of deflate: 1032 bytes per byte (258 bytes from two codes of one bit). */
const MAX_INFLATION = 1032

/**
 * Reads the entries of a zip, in the order of their data.
 * @throws TrecvitError if the directory is missing or damaged, or if an entry is repeated or
 * overlaps another
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
 * Finds the central directory. The end record is searched backwards from the end of the file. Its
 * comment must end exactly at the end of the file.
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
    await source.read(uint64(view, locator + 8, file), record)
    const end64 = viewOf(record)
    if (end64.getUint32(0, true) !== 0x06064b50) throw damaged(file)
    return {
      count: uint64(end64, 32, file),
      bytes: uint64(end64, 40, file),
      at: uint64(end64, 48, file),
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
    // The order matters: the zip64 field has only the values that do not fit, one after the other.
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

/** Returns a function that reads the next 64-bit number of an entry's zip64 extra field. */
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
    return uint64(view, at - 8, file)
  }
}

/** Reads an unsigned 64-bit integer that a double can represent exactly. */
function uint64(view: DataView, at: number, file: string): number {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
  if (!Number.isSafeInteger(value)) throw damaged(file)
  return value
}

function damaged(file: string): TrecvitError {
  return new TrecvitError(`The zip directory of ${file} is damaged: save or download it again`)
}
