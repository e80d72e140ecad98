/**
 * The entries of a zip, and the offsets of their data. Sizes are read from the central directory
 * only, because the local header of a streamed entry has none.
 *
 *     [local header | name | extra | data | (sizes)] ...
 *     central directory  [zip64 end | locator]  end
 *
 * Reference: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory),
 * 4.3.14-16 (ends), 4.5.3 (zip64 field).
 */
import { viewOf } from '../base/bytes.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { decodeText } from '../platform/web.ts'

/** Bytes of a local header without the name. */
export const LOCAL_BYTES = 30
/** Flag bits: encrypted, strong encryption, masked directory. */
export const ENCRYPTED: number = 0x1 | 0x40 | 0x2000

/** One file in a zip, as listed in the central directory. */
export interface ZipEntry {
  readonly name: string
  /** Reason why the contents cannot be read, or null. */
  readonly refusal: string | null
  readonly flags: number
  /** Compression method. */
  readonly method: number
  readonly deflated: boolean
  /** CRC-32 of the contents. */
  readonly crc: number
  /** Size in the zip, in bytes. */
  readonly packed: number
  /** Size of the contents, in bytes. */
  readonly size: number
  /** Offset of the local header. */
  readonly at: number
  /** Offset of the next local header or of the directory. */
  readonly limit: number
}

/** Fills `into` with the bytes of a zip from `offset` on. */
export type ReadAt = (offset: number, into: Uint8Array) => Promise<void>

/**
 * Returns the offset of an entry's data, which follows its local header.
 * @param file name for error messages, quoted
 * @throws TrecvitError if the local header is missing, differs from the directory, or if the data
 * overlaps the next entry or the directory
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

/** Decodes the name of an entry as UTF-8, or byte by byte if it is not valid UTF-8. */
export function decodeName(bytes: Uint8Array): { name: string; isText: boolean } {
  try {
    return { name: decodeText(bytes, 'utf-8', { fatal: true, ignoreBOM: true }), isText: true }
  } catch {
    return { name: decodeText(bytes, 'latin1'), isText: false }
  }
}

/** Returns the error for an entry that overlaps the next one or the directory. */
export function overlap(entry: { name: string }, file: string): TrecvitError {
  return new TrecvitError(
    `Entry ${quote(entry.name)} of ${file} overlaps what follows it: the file is damaged`,
  )
}
