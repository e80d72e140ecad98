/**
 * CRC-32C (polynomial 0x82F63B78, Castagnoli), the checksum that Google Cloud Storage sends.
 * TABLE[256·k + x] is the contribution of byte x if k more bytes of the same step follow it.
 */
const TABLE = new Int32Array(8 * 256)
for (let x = 0; x < 256; x++) {
  let c = x
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
  TABLE[x] = c
}
for (let i = 256; i < TABLE.length; i++) {
  const before = TABLE[i - 256]!
  TABLE[i] = (before >>> 8) ^ TABLE[before & 255]!
}

/**
 * Returns the CRC-32C of bytes, as an unsigned 32-bit number.
 * @param crc CRC of the preceding bytes
 */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  const t = TABLE
  let c = ~crc
  let i = 0
  for (; i + 8 <= bytes.length; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    c =
      t[1792 + (c & 255)]! ^
      t[1536 + ((c >>> 8) & 255)]! ^
      t[1280 + ((c >>> 16) & 255)]! ^
      t[1024 + (c >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^
      t[512 + bytes[i + 5]!]! ^
      t[256 + bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!
  }
  for (; i < bytes.length; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]!) & 255]!
  return ~c >>> 0
}

/** Returns the CRC-32C in `x-goog-hash` (base64 of four big-endian bytes), or null. */
export function sentCrc32c(headers: Headers): number | null {
  const [, base64] = /\bcrc32c=([\w+/]{6}==)/.exec(headers.get('x-goog-hash') ?? '') ?? []
  if (base64 === undefined) return null
  const [a, b, c, d] = Array.from(atob(base64), (byte) => byte.charCodeAt(0))
  return ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0
}
