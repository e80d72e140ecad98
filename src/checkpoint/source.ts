/**
 * Bytes at an offset, wherever they are: a file, an HTTP server, a Blob or memory. Readers of
 * checkpoints see nothing else.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

/** A thing of known size that is read at any offset. */
export interface Source {
  /** File name, for messages. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /**
   * Fills `into` with the bytes from `offset` on. Several reads may be under way at the same time.
   * @throws TrecvitError if the bytes do not exist (any more) or cannot be read
   */
  read(offset: number, into: Uint8Array): Promise<void>
  /** Frees the file or the connection. No read may follow. */
  close(): Promise<void>
}

/**
 * Every source calls this before it touches memory or the network.
 * @throws TrecvitError when `length` bytes from `offset` on are not all inside the source
 */
export function checkRange(source: Source, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= source.size) return
  throw new TrecvitError(
    `Checkpoint ${quote(source.name)} has ${source.size} bytes, ` +
      `but bytes ${offset} to ${offset + length} are needed: it is cut short or damaged`,
  )
}
