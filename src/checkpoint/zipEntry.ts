/** The contents of a zip entry, from front to back. */
import { type ContentReader, inflated } from './inflate.ts'
import type { ReadAt, ZipEntry } from './zip.ts'

/**
 * @param at offset of the entry's data
 * @param skip stored contents to leave out; 0 for a deflated entry
 * @param what the array, for messages
 */
export function readEntry(
  read: ReadAt,
  entry: ZipEntry,
  at: number,
  skip: number,
  what: string,
): ContentReader {
  return entry.deflated ? inflated(read, at, at + entry.packed, what) : stored(read, at + skip)
}

function stored(read: ReadAt, at: number): ContentReader {
  return {
    async fill(into) {
      await read(at, into)
      at += into.length
    },
    async end() {},
    close() {},
  }
}
