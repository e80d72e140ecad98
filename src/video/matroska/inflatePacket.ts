/**
 * Decompresses packets that Matroska compressed with zlib.
 */

import { concat } from '../../base/bytes.ts'

/** Bytes of the largest decompressed packet. */
const MAX_PACKET = 2 ** 26

/** @throws Error if the bytes are not a zlib stream, or decompress to more than 64 MiB */
export async function inflatePacket(data: Uint8Array): Promise<Uint8Array> {
  const reader = new Blob([data as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('deflate'))
    .getReader()
  const parts: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { value, done } = await reader.read()
    if (done) break
    parts.push(value)
    if ((size += value.length) > MAX_PACKET) {
      await reader.cancel()
      throw new Error(`a compressed packet has more than ${MAX_PACKET} bytes`)
    }
  }
  return concat(parts)
}
