/** Deflated data, from front to back. */
import { TrecvitError } from '../base/error.ts'
import { webClasses } from '../platform/web.ts'
import type { ReadAt } from './zip.ts'

/**
 * Bytes of deflated data that are inflated at a time: few at first, when only a header is read, and
 * never enough for a decompression bomb to fill memory.
 */
const FIRST_PIECE = 1 << 10
const LAST_PIECE = 1 << 15

/** Gives bytes in order. */
export interface ContentReader {
  /**
   * Fills `into` with the next bytes.
   * @throws TrecvitError when there are fewer
   */
  fill(into: Uint8Array): Promise<void>
  /**
   * Call after the last byte.
   * @throws TrecvitError when there are more
   */
  end(): Promise<void>
  /** Frees what is held, at the end or before. */
  close(): void
}

/**
 * Inflates bytes without a header (RFC 1951), as far as they are asked for.
 * @param read gives the deflated bytes, those at..stop−1
 * @param what is inflated, for messages
 */
export function inflated(read: ReadAt, at: number, stop: number, what: string): ContentReader {
  let piece = FIRST_PIECE
  let failure: unknown
  const { ReadableStream, DecompressionStream } = webClasses()
  const packed = new ReadableStream<BufferSource>(
    {
      async pull(controller) {
        const bytes = new Uint8Array(Math.min(piece, stop - at))
        if (bytes.length === 0) return controller.close()
        try {
          await read(at, bytes)
        } catch (error) {
          failure = error
          throw error
        }
        at += bytes.length
        piece = Math.min(2 * piece, LAST_PIECE)
        controller.enqueue(bytes)
      },
    },
    { highWaterMark: 0 },
  )
  const reader = packed.pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  let rest: Uint8Array = new Uint8Array(0)

  async function more(): Promise<boolean> {
    try {
      const { value, done } = await reader.read()
      rest = value ?? new Uint8Array(0)
      return !done
    } catch (error) {
      if (failure !== undefined) throw failure
      throw new TrecvitError(
        `${what} cannot be inflated (${error instanceof Error ? error.message : error}): ` +
          'the file is damaged',
        { cause: error },
      )
    }
  }

  return {
    async fill(into) {
      for (let done = 0; done < into.length; ) {
        if (rest.length === 0 && !(await more()))
          throw new TrecvitError(
            `${what} inflates to fewer bytes than expected: the file is damaged`,
          )
        const part = rest.subarray(0, into.length - done)
        into.set(part, done)
        done += part.length
        rest = rest.subarray(part.length)
      }
    },
    async end() {
      while (rest.length === 0) if (!(await more())) return
      throw new TrecvitError(`${what} inflates to more bytes than expected: the file is damaged`)
    },
    close() {
      reader.cancel().catch(() => {})
    },
  }
}
