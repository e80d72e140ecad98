/**
 * Elements of Matroska and WebM files (RFC 8794): an id, a size, a body.
 */

/** An element and its offsets in the file. */
export interface Element {
  readonly id: number
  /** Offset of the id. */
  readonly at: number
  /** Offset of the body. */
  readonly body: number
  /** Offset after the last byte of the element; null if its size is unknown. */
  readonly end: number | null
}

/** Bytes of the longest header: 4 for the id and 8 for the size. */
export const MAX_HEADER = 12

/**
 * Reads the header of an element.
 * @param offset of the header in the bytes
 * @param at offset of the header in the file
 * @returns null if there is no header
 */
export function readElement(bytes: Uint8Array, offset: number, at: number): Element | null {
  const first = bytes[offset]
  if (first === undefined || first < 0x10) return null
  const idLength = Math.clz32(first) - 23
  const sizeFirst = bytes[offset + idLength]
  if (sizeFirst === undefined || sizeFirst === 0) return null
  const sizeLength = Math.clz32(sizeFirst) - 23
  if (offset + idLength + sizeLength > bytes.length) return null
  const id = unsigned(bytes, offset, idLength)
  const body = at + idLength + sizeLength
  const size = vint(bytes, offset + idLength, sizeLength)
  return { id, at, body, end: size === null ? null : body + size }
}

/**
 * Yields the elements in a range of a buffer. An element that exceeds the range, or has no size, is
 * cut at its end.
 */
export function* elementsIn(
  bytes: Uint8Array,
  from: number,
  to: number,
): Generator<Element & { readonly end: number }> {
  for (let at = from; at < to; ) {
    const element = readElement(bytes, at, at)
    if (element === null) return
    const end = Math.min(element.end ?? to, to)
    yield { ...element, end }
    at = end
  }
}

/** Reads a big-endian number of up to 8 bytes. It is exact up to 2^53. */
export function unsigned(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let i = 0; i < length; i++) value = value * 256 + (bytes[at + i] ?? 0)
  return value
}

/** Returns the value of an unsigned integer element. */
export function unsignedOf(bytes: Uint8Array, { body, end }: Element): number {
  return unsigned(bytes, body, Math.min(8, (end ?? body) - body))
}

/** Returns the value of a variable-size integer; null if all its bits are 1 (unknown). */
function vint(bytes: Uint8Array, at: number, length: number): number | null {
  const ones = 0xff >> length
  let value = bytes[at]! & ones
  let unknown = value === ones
  for (let i = 1; i < length; i++) {
    value = value * 256 + bytes[at + i]!
    unknown &&= bytes[at + i] === 0xff
  }
  return unknown ? null : value
}

/**
 * Returns the header of a Void element of `length` bytes, at least 2.
 * @param longest largest size of the header in bytes
 */
export function voidHeader(length: number, longest: number = 9): Uint8Array {
  const most = Math.min(9, longest)
  const header = new Uint8Array(length < most ? 2 : most)
  const digits = header.length - 1
  let size = BigInt(length - header.length) | (1n << BigInt(7 * digits))
  header[0] = 0xec
  for (let i = digits; i > 0; i--, size >>= 8n) header[i] = Number(size & 0xffn)
  return header
}
