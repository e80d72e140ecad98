/**
 * Reads a file with a single picture, with FFmpeg in WebAssembly.
 */
import { concat } from '../../base/bytes.ts'
import { DecoderFault } from '../decoder/track.ts'
import { decodeOne } from '../decoder/wasm.ts'
import { wasmModule } from '../decoder/wasmModule.ts'
import { ByteReader } from '../source/byteReader.ts'
import type { Job, Read, Reader } from './reader.ts'

/** Largest file and size of one read, in bytes. */
const MAX_FILE = 2 ** 28
const PIECE = 2 ** 18

/**
 * Decodes the picture.
 * @param url of the module; default: beside this code
 * @throws DecoderFault if the module is missing or the picture is damaged
 */
export async function openStill({ media, signal }: Job, url?: string | URL): Promise<Reader> {
  const module = await wasmModule(url)
  const reader = new ByteReader(await media.stream())
  const bytes: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const piece = await reader.some(PIECE)
      signal.throwIfAborted()
      if (piece === null) break
      bytes.push(piece)
      size += piece.length
      if (size > MAX_FILE) throw new DecoderFault(`it has more than ${MAX_FILE} bytes`)
    }
  } finally {
    await reader.cancel()
  }
  const decoded = await decodeOne(module, 'webp', concat(bytes))
  let picture: Read | null = { ...decoded, time: 0, aspect: 0, damage: null }
  return {
    facts: {
      codec: 'webp',
      profile: null,
      duration: null,
      fps: null,
      matrix: null,
      fullRange: null,
      siting: null,
      rotation: 0,
      isMirrored: false,
    },
    damage: null,
    async next() {
      const next = picture
      picture = null
      return next
    },
    async close() {},
  }
}
