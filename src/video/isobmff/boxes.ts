/**
 * Boxes of ISO base media files (ISO 14496-12 4.2): a size, a kind of four letters, a body.
 */
import { viewOf } from '../../base/bytes.ts'

/** A box and its offsets in the file. */
export interface Box {
  readonly kind: string
  /** Offset of the header. */
  readonly at: number
  /** Offset of the body. */
  readonly body: number
  /** Offset after the last byte of the box. */
  readonly end: number
}

/** Bytes of the longest header. */
export const MAX_HEADER = 16

/**
 * Reads the header of a box.
 * @param offset of the header in the view
 * @param limit offset in the file where a box of size 0 ends
 * @param at offset of the header in the file
 * @returns null if there is no header
 */
export function readBox(view: DataView, offset: number, limit: number, at: number): Box | null {
  const left = view.byteLength - offset
  if (left < 8) return null
  const short = view.getUint32(offset)
  const kind = String.fromCharCode(
    view.getUint8(offset + 4),
    view.getUint8(offset + 5),
    view.getUint8(offset + 6),
    view.getUint8(offset + 7),
  )
  if (short === 0) return { kind, at, body: at + 8, end: limit }
  if (short !== 1) return short < 8 ? null : { kind, at, body: at + 8, end: at + short }
  if (left < MAX_HEADER) return null
  const size = view.getUint32(offset + 8) * 2 ** 32 + view.getUint32(offset + 12)
  return size < MAX_HEADER ? null : { kind, at, body: at + MAX_HEADER, end: at + size }
}

/** Yields the boxes in a range of a buffer. A box that exceeds the range is cut at its end. */
export function* boxesIn(bytes: Uint8Array, from: number, to: number): Generator<Box> {
  const view = viewOf(bytes)
  for (let at = from; at + 8 <= to; ) {
    const box = readBox(view, at, to, at)
    if (box === null) return
    yield box.end > to ? { ...box, end: to } : box
    at = box.end
  }
}

/** Returns the first box of a kind, or at a path of kinds, in a range of a buffer. */
export function findBox(
  bytes: Uint8Array,
  from: number,
  to: number,
  ...path: string[]
): Box | null {
  const [kind, ...rest] = path
  for (const box of boxesIn(bytes, from, to)) {
    if (box.kind === kind)
      return rest.length === 0 ? box : findBox(bytes, box.body, box.end, ...rest)
  }
  return null
}

/** Returns a box with a body of these parts. */
export function makeBox(kind: string, parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 8)
  const box = new Uint8Array(size)
  box.set(boxHeader(kind, size))
  let at = 8
  for (const part of parts) {
    box.set(part, at)
    at += part.length
  }
  return box
}

/** Returns the header of a box of fewer than 2^32 bytes. */
export function boxHeader(kind: string, size: number): Uint8Array {
  const header = new Uint8Array(8)
  viewOf(header).setUint32(0, size)
  for (let i = 0; i < 4; i++) header[4 + i] = kind.charCodeAt(i)
  return header
}
