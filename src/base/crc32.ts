import { builtinModule } from '../platform/platform.ts'

/**
 * CRC-32 (polynomial 0xEDB88320, as in zip), sixteen bytes per turn of the loop. TABLE[256·k + x]
 * is the contribution of byte x if k more bytes of the turn follow it. The sixteen look-ups do not
 * depend on each other, so a CPU overlaps them.
 */
const TABLE = new Int32Array(16 * 256)
for (let x = 0; x < 256; x++) {
  let c = x
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  TABLE[x] = c
}
for (let i = 256; i < TABLE.length; i++) {
  const before = TABLE[i - 256]!
  TABLE[i] = (before >>> 8) ^ TABLE[before & 255]!
}

/** The function of the runtime, which uses CRC instructions. Pages have none. */
const native = builtinModule('node:zlib')?.crc32

/**
 * Returns the CRC-32 of `bytes`, as an unsigned 32-bit number.
 * @param crc CRC of the bytes before, to continue from: crc32(b, crc32(a)) is the CRC of a and b
 * joined
 */
export function crc32(bytes: Uint8Array, crc = 0): number {
  // For an empty ArrayBuffer, Node returns 0 instead of the given CRC.
  return native && bytes.length ? native(bytes, crc) : crc32Anywhere(bytes, crc)
}

/** Returns the same as crc32, in plain JavaScript. */
export function crc32Anywhere(bytes: Uint8Array, crc = 0): number {
  const t = TABLE
  let c = ~crc
  let i = 0
  const lead = Math.min(bytes.length, -bytes.byteOffset & 3)
  while (i < lead) c = (c >>> 8) ^ t[(c ^ bytes[i++]!) & 255]!
  const turns = Math.floor((bytes.length - lead) / 16)
  const words =
    turns === 0
      ? new Int32Array(0)
      : new Int32Array(bytes.buffer, bytes.byteOffset + lead, 4 * turns)
  for (let w = 0; w < words.length; w += 4) {
    c ^= words[w]!
    c =
      sum(t, 3072, c) ^
      sum(t, 2048, words[w + 1]!) ^
      sum(t, 1024, words[w + 2]!) ^
      sum(t, 0, words[w + 3]!)
  }
  i += 16 * turns
  while (i < bytes.length) c = (c >>> 8) ^ t[(c ^ bytes[i++]!) & 255]!
  return ~c >>> 0
}

/** Returns the contribution of the four bytes of a word. */
function sum(t: Int32Array, at: number, word: number): number {
  return (
    t[at + 768 + (word & 255)]! ^
    t[at + 512 + ((word >>> 8) & 255)]! ^
    t[at + 256 + ((word >>> 16) & 255)]! ^
    t[at + (word >>> 24)]!
  )
}
