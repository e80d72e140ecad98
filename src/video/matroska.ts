/**
 * What has to be known of a Matroska or WebM file before mediabunny 1.61 sees it: at bytes between elements that are none, it can search
 * for ever, and a file that ends early it ends in silence.
 */
import { TrecvitError } from '../error.ts'
import { capital, type Media } from './media.ts'

/** SeekHead, Info, Tracks, Cluster, Cues, Attachments, Chapters, Tags: what a segment holds, besides padding (EC). */
const LEVEL_1: ReadonlySet<number> = new Set([0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1f43b675, 0x1c53bb6b, 0x1941a469, 0x1043a770, 0x1254c367])
const SEGMENT = 0x18538067

/**
 * Walks from element to element. Streams and addresses are not checked: they cannot be read at any offset, or only slowly.
 * @returns how many bytes the file lacks at its end, by the size that it states of itself; 0 when none, or when it does not say
 * @throws TrecvitError when something else stands where an element should begin
 */
export async function checkMatroska({ name, head, size, read }: Media): Promise<number> {
  if (size === null || read === null || word(head, 0) !== 0x1a45dfa3) return 0
  const header = readSize(head, 4)
  if (header === null || header.value === null) return 0
  const start = header.end + header.value
  if (word(head, start) !== SEGMENT) return 0
  const segment = readSize(head, start + 4)
  if (segment === null) return 0
  const end = segment.value === null ? Infinity : segment.end + segment.value
  for (let at = segment.end; at < Math.min(end, size); ) {
    const bytes = await read(at, 12)
    const padding = bytes[0] === 0xec
    if (bytes.length < 4) break
    if (!padding && !LEVEL_1.has(word(bytes, 0))) throw new TrecvitError(`${capital(name)} is damaged at byte ${at}: a part of a Matroska file should begin there`)
    const element = readSize(bytes, padding ? 1 : 4)
    // Of unknown size: a recording of which no more is known.
    if (element === null || element.value === null) break
    at += element.end + element.value
  }
  return end === Infinity ? 0 : Math.max(0, end - size)
}

function word(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
}

/** A size and where it ends (RFC 8794 4: as many zero bits as further bytes follow); its value is null where it says "unknown". */
function readSize(bytes: Uint8Array, at: number): { value: number | null; end: number } | null {
  const first = bytes[at]
  if (first === undefined || first === 0) return null
  const more = Math.clz32(first) - 24
  if (at + more >= bytes.length) return null
  let value = first & (0x7f >> more)
  let unknown = value === 0x7f >> more
  for (let i = 1; i <= more; i++) {
    value = value * 256 + bytes[at + i]!
    unknown &&= bytes[at + i] === 0xff
  }
  return { value: unknown ? null : value, end: at + more + 1 }
}
