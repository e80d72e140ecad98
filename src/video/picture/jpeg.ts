/**
 * Reads the header of a JPEG: the segments before the first scan. Like libjpeg, it skips stray
 * bytes and fill bytes between segments, and markers without a length.
 *
 *     FF D8 | FF marker, length (u16, counts itself), data | ... | FF DA scan | FF D9
 *
 * Reference: ITU-T T.81, annex B.
 */
import { viewOf } from '../../base/bytes.ts'
import { type Turn, turnOf, UPRIGHT } from './exif.ts'

/** Fields of a JPEG header. */
export interface JpegHeader {
  /** Pixels, as stored. */
  readonly width: number
  /** Pixels, as stored. */
  readonly height: number
  /** Components of a pixel: 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK. */
  readonly components: number
  readonly turn: Turn
  /** Whether the scans are too short for the pixels. A block takes at least one bit. */
  readonly isCut: boolean
}

const SCAN = 0xda
const END = 0xd9
const APP1 = 0xe1
/** "Exif", then two zero bytes. */
const EXIF = [0x45, 0x78, 0x69, 0x66, 0, 0]

/**
 * Reads the header.
 * @returns null if it is cut short or damaged, or no end marker follows the scan. The decoder would
 * fill the rest of the picture with grey without an error
 */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | null {
  const view = viewOf(bytes)
  let frame: Omit<JpegHeader, 'turn' | 'isCut'> | null = null
  let turn: Turn | null = null
  let isHuffman = true
  for (let at = 2; ; ) {
    at = nextMarker(bytes, at)
    if (at + 4 > bytes.length) return null
    const marker = bytes[at + 1]!
    if (marker === END) return null
    if (marker === SCAN) {
      if (frame === null || !hasEnd(bytes, at)) return null
      const blocks = Math.ceil(frame.width / 8) * Math.ceil(frame.height / 8)
      return {
        ...frame,
        turn: turn ?? UPRIGHT,
        isCut: isHuffman && blocks > 8 * (bytes.length - at),
      }
    }
    at += 2
    if (hasNoLength(marker)) continue
    const length = view.getUint16(at)
    if (length < 2 || at + length > bytes.length) return null
    const data = bytes.subarray(at + 2, at + length)
    if (isFrame(marker)) {
      if (data.length < 6) return null
      isHuffman = marker < 0xc8
      frame = {
        height: view.getUint16(at + 3),
        width: view.getUint16(at + 5),
        components: data[5]!,
      }
    }
    if (marker === APP1 && EXIF.every((byte, i) => byte === data[i]))
      turn ??= turnOf(data.subarray(EXIF.length))
    at += length
  }
}

/** Returns the position of the next marker's FF, after stray and fill bytes. */
function nextMarker(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    if (bytes[at] === 0xff && bytes[at + 1] !== 0xff && bytes[at + 1] !== 0) return at
  }
  return bytes.length
}

/** Whether a marker has no length: TEM and the restart markers. */
function hasNoLength(marker: number): boolean {
  return marker === 1 || (marker >= 0xd0 && marker <= 0xd7)
}

/** Whether a marker is a start of frame. C4, C8 and CC are not. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

function hasEnd(bytes: Uint8Array, scan: number): boolean {
  for (let at = bytes.length - 1; at > scan; at--)
    if (bytes[at] === END && bytes[at - 1] === 0xff) return true
  return false
}
