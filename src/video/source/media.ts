/**
 * The bytes of a video from any source.
 */
import type { Source } from 'mediabunny'

/**
 * A source whose first bytes were read. Call only one of `stream` and `container`, once.
 */
export interface Media {
  /** The subject of messages: a quoted name, or a phrase such as "the stream". */
  readonly name: string
  /** The first bytes, up to 64. */
  readonly head: Uint8Array
  /** Returns all bytes in order. */
  stream(): Promise<ReadableStream<Uint8Array>>
  /** Returns all bytes for mediabunny, with random access if the source supports it. */
  container(): Source
  /** Size in bytes, or null if it is unknown before the end. */
  readonly size: number | null
  /** Returns the bytes at an offset, fewer at the end; null if only `stream` is supported. */
  readonly read: ((offset: number, length: number) => Promise<Uint8Array>) | null
  /** Its absolute path, if another process can open it. */
  readonly path?: string
}

/** Bytes that are enough to recognise every format. */
export const HEAD = 64

/** Returns a name for the start of a sentence. */
export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}
