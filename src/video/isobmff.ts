/**
 * What has to be known of an MP4 or MOV file before mediabunny 1.61 sees it: it makes as many entries as the tables of samples say there
 * are, and four bytes can say four billion.
 */
import { TrecvitError } from '../error.ts'
import { capital, type Media } from './media.ts'

/** Boxes that are walked into, from the index down to its tables. */
const CONTAINERS: ReadonlySet<string> = new Set(['trak', 'mdia', 'minf', 'stbl'])
/** An index is a few bytes a frame. */
const MAX_INDEX = 2 ** 28
/** Writers may be off by a few at the end. */
const SLACK = 1024

/**
 * Checks the counts in the index against the bytes that are there. Streams and addresses are not checked: they cannot be read at any
 * offset, or only slowly.
 * @throws TrecvitError when the index names more than the file can hold
 */
export async function checkIsobmff({ name, size, read }: Media): Promise<void> {
  if (size === null || read === null) return
  for (let at = 0; at + 8 <= size; ) {
    const box = readBox(await read(at, 16), 0)
    if (box === null) return
    if (box.kind === 'moov') {
      if (box.size > MAX_INDEX) throw new TrecvitError(`${capital(name)} has an index of ${box.size} bytes: at most ${MAX_INDEX} are read`)
      if (!fits(await read(at + box.header, box.size - box.header), size)) {
        throw new TrecvitError(`${capital(name)} has an index that names more frames than the file can hold: it is damaged`)
      }
      return
    }
    at += box.size
  }
}

interface Box {
  readonly kind: string
  /** Bytes with the header. */
  readonly size: number
  readonly header: number
}

function readBox(bytes: Uint8Array, at: number): Box | null {
  if (at + 16 > bytes.length && at + 8 > bytes.length) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
  const short = view.getUint32(at)
  if (short !== 1) return short < 8 ? null : { kind, size: short, header: 8 }
  if (at + 16 > bytes.length) return null
  const size = view.getUint32(at + 8) * 2 ** 32 + view.getUint32(at + 12)
  return size < 16 ? null : { kind, size, header: 16 }
}

/** Whether the tables in these boxes stay within what `size` bytes can hold. */
function fits(boxes: Uint8Array, size: number): boolean {
  const tables = new Map<string, DataView>()
  for (let at = 0; ; ) {
    const box = readBox(boxes, at)
    if (box === null) break
    const body = boxes.subarray(at + box.header, at + box.size)
    if (CONTAINERS.has(box.kind) && !fits(body, size)) return false
    tables.set(box.kind, new DataView(body.buffer, body.byteOffset, body.length))
    at += box.size
  }
  const sizes = tables.get('stsz')
  if (sizes === undefined || sizes.byteLength < 12) return true
  const each = sizes.getUint32(4)
  const samples = sizes.getUint32(8)
  if (samples * each > size || (each === 0 && samples * 4 > sizes.byteLength)) return false
  const largest = samples + SLACK
  // Runs of times and of offsets of times: flags, number of runs, then length and value of each. Chunks: first, samples in each, kind.
  return runs(tables.get('stts'), 8, 0, true) <= largest && runs(tables.get('ctts'), 8, 0, true) <= largest && runs(tables.get('stsc'), 12, 4, false) <= largest
}

/** The sum, or the largest, of one field of a table's entries. */
function runs(table: DataView | undefined, entry: number, field: number, sum: boolean): number {
  if (table === undefined || table.byteLength < 8) return 0
  const entries = Math.min(table.getUint32(4), Math.floor((table.byteLength - 8) / entry))
  let result = 0
  for (let i = 0; i < entries; i++) {
    const value = table.getUint32(8 + i * entry + field)
    result = sum ? result + value : Math.max(result, value)
  }
  return result
}
