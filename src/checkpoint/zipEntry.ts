/** Reads the contents of a zip entry sequentially. */
import { type ContentReader, inflated } from './inflate.ts'
import type { ReadAt, ZipEntry } from './zip.ts'

/**
 * @param at offset of the entry's data
 * @param skip number of stored bytes to skip; 0 for a deflated entry
 * @param what the subject of error messages
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
