/**
 * The bytes of a video, wherever they come from.
 */
import type { Source } from 'mediabunny'

/**
 * A source whose first bytes were read. Only one of `stream` and `container` may be called, once.
 */
export interface Media {
  /** Quoted, or "the stream" and the like: the subject of messages. */
  readonly name: string
  /** The first bytes, up to 64. */
  readonly head: Uint8Array
  /** All bytes in order. */
  stream(): Promise<ReadableStream<Uint8Array>>
  /** The same for mediabunny, which reads at any offset where the source can. */
  container(): Source
  /** Bytes, where known without reading to the end. */
  readonly size: number | null
  /** The bytes from an offset on, fewer at the end; null where only `stream` reads. */
  readonly read: ((offset: number, length: number) => Promise<Uint8Array>) | null
  /** Its absolute path, where another process can open it, too. */
  readonly path?: string
}

/** Enough for every format's magic. */
export const HEAD = 64

/** A name at the start of a sentence. */
export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}
