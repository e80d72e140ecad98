/**
 * A file that is read at any offset: on disk, on an HTTP server, in a Blob or in memory. The
 * readers of checkpoints use only this interface.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

/** A file of known size. */
export interface Source {
  /** File name, for error messages. */
  readonly name: string
  /** Size in bytes. */
  readonly size: number
  /**
   * Fills `into` with the bytes from `offset` on. Several reads may be under way at once.
   * @throws TrecvitError if the bytes do not exist (any more) or cannot be read
   */
  read(offset: number, into: Uint8Array): Promise<void>
  /** Frees the file or the connection. Do not read afterwards. */
  close(): Promise<void>
}

/**
 * Checks a read. Every source calls this before it uses memory or the network.
 * @throws TrecvitError if the `length` bytes from `offset` on are not all inside the file
 */
export function checkRange(source: Source, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= source.size) return
  throw new TrecvitError(
    `Checkpoint ${quote(source.name)} has ${source.size} bytes, ` +
      `but bytes ${offset} to ${offset + length} are needed: it is cut short or damaged`,
  )
}
