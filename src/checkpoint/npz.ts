/** .npz: a zip with one .npy file per array. */

import { crc32 } from '../base/crc32.ts'
import { countValues, itemBytes } from '../base/dtype.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { NotNumbers, readNpyHeader } from './npy.ts'
import type { Reader, TensorInfo } from './reader.ts'
import type { Source } from './source.ts'
import { type Layout, ScratchPool, streamValues } from './values.ts'
import { locateData, type ReadAt, type ZipEntry } from './zip.ts'
import { readDirectory } from './zipDirectory.ts'
import { readEntry } from './zipEntry.ts'

/** Bytes per read while headers are located. The headers of small arrays are close together. */
const WINDOW = 1 << 14
/**
 * Number of concurrent reads while headers are located. A browser allows 6 requests per server.
 */
const SCANNERS = 6

/** An array and its place in the file. */
interface Located {
  readonly entry: ZipEntry
  readonly info: TensorInfo
  readonly layout: Layout
  /** Offset of the data of the entry, which starts with the .npy header. */
  readonly at: number
  readonly headerBytes: number
  readonly headerCrc: number
}

/** An entry that is not an array of numbers, and why it is skipped. */
interface Refused {
  readonly name: string
  readonly refusal: string
}

/**
 * Reads the directory of an .npz and the header of every array in it. Entries that are not arrays
 * of numbers are skipped.
 * @throws TrecvitError if the file is damaged or has no array of numbers
 */
export async function openNpz(source: Source, signal?: AbortSignal): Promise<Reader> {
  const file = quote(source.name)
  const entries = (await readDirectory(source)).filter((entry) => !entry.name.endsWith('/'))
  if (!entries.some(isArray) && entries.some(({ name }) => /(^|\/)data\.pkl$/.test(name))) {
    const kind = 'a PyTorch file'
    throw new TrecvitError(`Checkpoint ${file} is ${kind}: save it as .safetensors`)
  }
  const arrays = new Map<string, Located>()
  const skipped = new Map<string, string>()
  for (const located of await locateAll(source, entries, signal)) {
    if ('refusal' in located) skipped.set(located.name, located.refusal)
    else arrays.set(located.info.name, located)
  }
  if (arrays.size === 0) {
    const [first = `Checkpoint ${file} is an .npz without any array`] = skipped.values()
    throw new TrecvitError(first)
  }
  const pool = new ScratchPool()
  return {
    name: source.name,
    format: 'npz',
    size: source.size,
    tensors: new Map(Array.from(arrays, ([name, { info }]) => [name, info])),
    skipped,
    metadata: {},
    async read(name, sink, signal) {
      const array = arrays.get(name)
      if (array === undefined) {
        throw new TrecvitError(
          skipped.get(name) ?? `Checkpoint ${file} has no array ${quote(name)}`,
        )
      }
      const { entry, at, headerBytes, headerCrc, layout } = array
      const what = describe(entry, file)
      const reader = readEntry(
        (offset, into) => source.read(offset, into),
        entry,
        at,
        headerBytes,
        what,
      )
      let crc = headerCrc
      try {
        if (entry.deflated) await reader.fill(new Uint8Array(headerBytes))
        const fill = async (into: Uint8Array): Promise<void> => {
          await reader.fill(into)
          crc = crc32(into, crc)
        }
        await pool.lend((scratch) => streamValues(name, layout, fill, sink, scratch, signal))
        await reader.end()
      } finally {
        reader.close()
      }
      if (crc !== entry.crc)
        throw new TrecvitError(`${what} does not match its checksum: the file is damaged`)
    },
  }
}

/**
 * Reads the headers of all arrays. Entries that are close together share a read. Several reads are
 * under way at once to hide the latency of a server.
 */
async function locateAll(
  source: Source,
  entries: readonly ZipEntry[],
  signal: AbortSignal | undefined,
): Promise<(Located | Refused)[]> {
  const groups: ZipEntry[][] = []
  for (const entry of entries) {
    const group = groups.at(-1)
    if (group !== undefined && entry.at - group[0]!.at < WINDOW) group.push(entry)
    else groups.push([entry])
  }
  const located: (Located | Refused)[][] = []
  let next = 0
  async function scan(): Promise<void> {
    while (next < groups.length) {
      const i = next++
      try {
        signal?.throwIfAborted()
        located[i] = await locateGroup(source, groups[i]!)
      } catch (error) {
        next = groups.length // the other headers are not needed
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: SCANNERS }, scan))
  return located.flat()
}

async function locateGroup(
  source: Source,
  group: readonly ZipEntry[],
): Promise<(Located | Refused)[]> {
  const file = quote(source.name)
  const start = group[0]!.at
  const window = new Uint8Array(Math.min(WINDOW, source.size - start))
  await source.read(start, window)
  const read: ReadAt = async (offset, into) => {
    const from = offset - start
    if (from + into.length <= window.length) into.set(window.subarray(from, from + into.length))
    else await source.read(offset, into)
  }
  const located: (Located | Refused)[] = []
  for (const entry of group) located.push(await locate(read, entry, file))
  return located
}

async function locate(read: ReadAt, entry: ZipEntry, file: string): Promise<Located | Refused> {
  const what = describe(entry, file)
  const at = await locateData(read, entry, file)
  const name = arrayNameOf(entry)
  if (!isArray(entry)) {
    const kind = 'which is no .npy array'
    return { name, refusal: `Checkpoint ${file} has an entry ${quote(name)}, ${kind}` }
  }
  if (entry.refusal !== null) return { name, refusal: entry.refusal }
  const reader = readEntry(read, entry, at, 0, what)
  let left = entry.size
  try {
    const { bytes, ...layout } = await readNpyHeader(async (into) => {
      left -= into.length
      if (left < 0)
        throw new TrecvitError(
          `${what} has ${entry.size} bytes, too few for a .npy header: the file is damaged`,
        )
      await reader.fill(into)
    }, what)
    const count = countValues(layout.shape, layout.dtype)
    if (count === undefined || count * itemBytes[layout.dtype] !== left) {
      throw new TrecvitError(
        `${what} is ${layout.dtype} of shape [${layout.shape.slice(0, 64).join(', ')}], ` +
          `which does not fit its ${left} bytes: the file is damaged`,
      )
    }
    const info = { name, shape: layout.shape, dtype: layout.dtype }
    return { entry, info, layout, at, headerBytes: bytes.length, headerCrc: crc32(bytes) }
  } catch (error) {
    // Values that are skipped must have the size of their dtype. If not, the header is damaged.
    const isWhole = error instanceof NotNumbers && (error.bytes ?? left) === left
    if (!isWhole) throw error
    return { name, refusal: error.message }
  } finally {
    reader.close()
  }
}

function isArray({ name }: ZipEntry): boolean {
  return name.endsWith('.npy')
}

/** Returns the name of an array, or of another file in the zip. */
function arrayNameOf(entry: ZipEntry): string {
  return isArray(entry) ? entry.name.slice(0, -'.npy'.length) : entry.name
}

function describe(entry: ZipEntry, file: string): string {
  return `Array ${quote(arrayNameOf(entry))} of ${file}`
}
