/**
 * Parses sample entries of video tracks in MP4 and MOV (ISO 14496-12 8.5.2, ISO 14496-14 5.6):
 * codec, configuration and colour.
 */
import { viewOf } from '../../base/bytes.ts'
import { boxesIn, findBox, makeBox } from './boxes.ts'

/** One sample description of a track. */
export interface Description {
  /** Kind of the entry, such as avc1, hvc1 or vp09. */
  readonly kind: string
  /** avcC or hvcC, without its header. */
  readonly record: Uint8Array | null
  /** matrix_coefficients (ISO 23091-2) of the colr box. */
  readonly matrix: number | null
  /** The entry for mediabunny. */
  readonly entry: Uint8Array
}

/** Bytes of a visual sample entry before its boxes, including the header. */
const FIXED = 86

/** Boxes of an entry that mediabunny needs. Others (sinf, esds) can change its behaviour. */
const KEPT: ReadonlySet<string> = new Set(['avcC', 'hvcC', 'vpcC', 'av1C', 'colr', 'pasp'])

/** Codec names by object type of esds (mp4ra.org), for codecs without their own kind. */
const OBJECT_TYPES: Readonly<Record<number, string>> = {
  0x20: 'MPEG-4 Part 2',
  0x60: 'MPEG-2',
  0x61: 'MPEG-2',
  0x62: 'MPEG-2',
  0x63: 'MPEG-2',
  0x64: 'MPEG-2',
  0x65: 'MPEG-2',
  0x6a: 'MPEG-1',
  0x6d: 'PNG',
  0x6e: 'JPEG 2000',
  0xa3: 'VC-1',
}
const JPEG = 0x6c
/**
 * Kinds of Motion JPEG, and the kind that mediabunny sees instead. It logs a console warning about
 * unknown kinds.
 */
const MOTION_JPEG: ReadonlySet<string> = new Set(['jpeg', 'mjpa'])
const STAND_IN = 'vp08'

/**
 * @param entry a sample entry with its header
 */
export function describeEntry(entry: Uint8Array): Description {
  const kind = String.fromCharCode(...entry.subarray(4, 8))
  const body = (name: string): Uint8Array | null => {
    const box = findBox(entry, FIXED, entry.length, name)
    return box === null ? null : entry.subarray(box.body, box.end)
  }
  const type = kind === 'mp4v' ? objectType(entry) : null
  if (type === JPEG || MOTION_JPEG.has(kind))
    return { kind: 'jpeg', record: null, matrix: null, entry: trimmed(entry, STAND_IN) }
  return {
    kind: OBJECT_TYPES[type ?? -1] ?? kind,
    record: body('avcC') ?? body('hvcC'),
    matrix: matrixOf(body('colr')),
    entry: trimmed(entry, kind),
  }
}

function matrixOf(colr: Uint8Array | null): number | null {
  const type = colr === null ? '' : String.fromCharCode(...colr.subarray(0, 4))
  return (type === 'nclx' || type === 'nclc') && colr!.length >= 10
    ? viewOf(colr!).getUint16(8)
    : null
}

/** Returns objectTypeIndication of the decoder configuration in esds (ISO 14496-1 7.2.6.6). */
function objectType(entry: Uint8Array): number | null {
  for (const box of boxesIn(entry, FIXED, entry.length)) {
    if (box.kind !== 'esds') continue
    let at = box.body + 4
    /** Reads the tag of a descriptor, and skips its length of 1 to 4 bytes. */
    const descriptor = (): number => {
      const tag = entry[at++] ?? 0
      for (let i = 0; i < 4 && ((entry[at++] ?? 0) & 0x80) !== 0; i++);
      return tag
    }
    if (descriptor() !== 3) return null
    const flags = entry[at + 2] ?? 0
    at +=
      3 +
      ((flags & 0x80) !== 0 ? 2 : 0) +
      ((flags & 0x40) !== 0 ? 1 + (entry[at + 3] ?? 0) : 0) +
      ((flags & 0x20) !== 0 ? 2 : 0)
    return descriptor() === 4 ? (entry[at] ?? null) : null
  }
  return null
}

/** Returns the entry with another kind, and only with the boxes that are needed. */
function trimmed(entry: Uint8Array, kind: string): Uint8Array {
  const boxes = [...boxesIn(entry, FIXED, entry.length)].filter((box) => KEPT.has(box.kind))
  return makeBox(kind, [
    entry.subarray(8, FIXED),
    ...boxes.map((box) => makeBox(box.kind, [entry.subarray(box.body, box.end)])),
  ])
}
