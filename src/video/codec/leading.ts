/**
 * Finds leading pictures of H.264 and HEVC. In a clip that was cut at an open group of pictures,
 * they refer to pictures before the cut. No decoder shows them. A decoder without timestamps would
 * assign their times to other pictures.
 */
import type { EncodedPacket } from 'mediabunny'

/**
 * NAL unit types of HEVC: RASL_N, RASL_R, and the range of types that start a group of pictures.
 */
const [RASL_N, RASL_R, FIRST_IRAP, LAST_IRAP] = [8, 9, 16, 23]
const H264_IDR = 5

/**
 * Returns a function that returns whether to skip a packet. It must be called for all packets in
 * order.
 * @param kind avc, hevc or another codec
 * @param record avcC or hvcC; null if NAL units have start codes instead of lengths
 */
export function leadingFilter(
  kind: string,
  record: Uint8Array | null,
): (packet: EncodedPacket) => boolean {
  let first: number | null = null
  let isOpen = true
  if (kind === 'avc') {
    const length = record === null ? null : (record[4]! & 3) + 1
    return ({ data, timestamp }) => {
      if (first === null) isOpen = !typesOf(data, length, (byte) => byte & 31).includes(H264_IDR)
      first ??= timestamp
      return isOpen && timestamp < first
    }
  }
  if (kind !== 'hevc') return () => false
  const length = record === null ? null : (record[21]! & 3) + 1
  return ({ data }) => {
    if (!isOpen) return false
    const types = typesOf(data, length, (byte) => (byte >> 1) & 63)
    const isKey = types.some((type) => type >= FIRST_IRAP && type <= LAST_IRAP)
    if (first !== null && isKey) isOpen = false
    first ??= 0
    return types.some((type) => type === RASL_N || type === RASL_R)
  }
}

/** Returns the types of a packet's NAL units, which are separated by lengths or start codes. */
function typesOf(
  data: Uint8Array,
  length: number | null,
  type: (byte: number) => number,
): number[] {
  const types: number[] = []
  if (length === null) {
    for (let at = 0; (at = startCode(data, at)) >= 0 && at < data.length; )
      types.push(type(data[at]!))
    return types
  }
  for (let at = 0; at + length < data.length; ) {
    let size = 0
    for (let i = 0; i < length; i++) size = size * 256 + data[at + i]!
    types.push(type(data[at + length]!))
    at += length + size
  }
  return types
}

/** Returns the offset after the next start code, or -1 if there is none. */
function startCode(data: Uint8Array, from: number): number {
  for (let at = from; at + 2 < data.length; at++)
    if (data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1) return at + 3
  return -1
}
