/**
 * Reads the chunks of a PNG. Only chunks that affect the pixels are passed to the decoder. It
 * rejects a damaged profile or a missing end, which browsers and libpng tolerate.
 *
 *     signature (8 bytes) | length (u32), type, data, CRC-32 | ...
 *
 * Reference: PNG specification, third edition, section 5.
 */
import { viewOf } from '../../base/bytes.ts'
import { type Turn, turnOf, UPRIGHT } from './exif.ts'

/** Properties from the chunks of a PNG. */
export interface PngHeader {
  /** Pixels, as stored. */
  readonly width: number
  /** Pixels, as stored. */
  readonly height: number
  readonly turn: Turn
  /** Whether the data is too short for the number of pixels, at any compression ratio. */
  readonly isCut: boolean
  /** The PNG with only the chunks that affect the pixels. */
  readonly pixels: Uint8Array
}

const SIGNATURE = 8
/** Bytes of a chunk without its data. */
const AROUND = 12
/** Bytes of the signature and the first chunk. */
const IHDR_END = SIGNATURE + AROUND + 13
/** Largest compression ratio of deflate. */
const MAX_INFLATION = 1032
/** Samples per pixel, by colour type. */
const SAMPLES = [1, 0, 3, 1, 2, 0, 4]
const IEND = Uint8Array.of(0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82)

/**
 * Reads the chunks.
 * @returns null if the first chunk, the header, is missing
 */
export function readPng(bytes: Uint8Array): PngHeader | null {
  const view = viewOf(bytes)
  if (bytes.length < IHDR_END || typeAt(bytes, SIGNATURE) !== 'IHDR') return null
  const pixels = new Uint8Array(bytes.length + IEND.length)
  pixels.set(bytes.subarray(0, IHDR_END))
  let length = IHDR_END
  let turn = UPRIGHT
  for (let at = IHDR_END; at + AROUND <= bytes.length; ) {
    const type = typeAt(bytes, at)
    if (type === 'IEND') break
    const end = at + AROUND + view.getUint32(at)
    if (type === 'eXIf') turn = turnOf(bytes.subarray(at + 8, end - 4))
    if (/^(PLTE|tRNS|IDAT)$/.test(type)) {
      const chunk = bytes.subarray(at, end)
      pixels.set(chunk, length)
      length += chunk.length
    }
    at = end
  }
  pixels.set(IEND, length)
  const width = view.getUint32(16)
  const height = view.getUint32(20)
  const rowBits = width * bytes[24]! * (SAMPLES[bytes[25]!] ?? 1)
  const isCut = Math.ceil(rowBits / 8) * height > MAX_INFLATION * length
  return { width, height, turn, isCut, pixels: pixels.subarray(0, length + IEND.length) }
}

function typeAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at + 4, at + 8))
}
