/**
 * Provides the bytes of a file to FFmpeg in WebAssembly, which reads synchronously.
 */
import { isSeekable, Pieces } from '../container/pieces.ts'
import { ByteReader } from '../source/byteReader.ts'
import type { Media } from '../source/media.ts'

/** A source of bytes. Loaded bytes are read synchronously, others are loaded asynchronously. */
export interface ByteFeed {
  readonly isSeekable: boolean
  /** Loaded bytes from an offset on; empty at the end; null if they must be loaded first. */
  now(at: number, size: number): Uint8Array | null
  load(at: number, size: number): Promise<void>
  close(): Promise<void>
}

/** Bytes of one read of a stream. */
const PIECE = 1 << 18

/** Returns a feed: random access to a file, sequential access to a stream. */
export async function feedOf(media: Media, signal: AbortSignal): Promise<ByteFeed> {
  if (!isSeekable(media)) return new StreamFeed(await media.stream(), signal)
  const pieces = new Pieces(media, signal)
  return {
    isSeekable: true,
    now(at, size) {
      if (at >= media.size) return new Uint8Array(0)
      return pieces.holds(at, 1) ? pieces.bytes.subarray(at - pieces.start).subarray(0, size) : null
    },
    load: (at, size) => pieces.load(at, size),
    close: async () => {},
  }
}

class StreamFeed implements ByteFeed {
  readonly isSeekable = false
  readonly #reader: ByteReader
  readonly #signal: AbortSignal
  #piece: Uint8Array = new Uint8Array(0)
  #isOver = false

  constructor(stream: ReadableStream<Uint8Array>, signal: AbortSignal) {
    this.#reader = new ByteReader(stream)
    this.#signal = signal
  }

  now(_: number, size: number): Uint8Array | null {
    if (this.#piece.length === 0) return this.#isOver ? this.#piece : null
    const part = this.#piece.subarray(0, size)
    this.#piece = this.#piece.subarray(part.length)
    return part
  }

  async load(): Promise<void> {
    const piece = await this.#reader.some(PIECE)
    this.#signal.throwIfAborted()
    this.#isOver = piece === null
    this.#piece = piece ?? this.#piece
  }

  close(): Promise<void> {
    return this.#reader.cancel()
  }
}
