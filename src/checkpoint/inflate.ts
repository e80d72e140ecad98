/** Inflates deflated data sequentially. */
import { TrecvitError } from '../base/error.ts'
import { webClasses } from '../platform/web.ts'
import type { ReadAt } from './zip.ts'

/**
 * First and largest number of deflated bytes per step. The first is small, because often only a
 * header is read. The largest is small enough that a decompression bomb cannot fill memory.
 */
const FIRST_PIECE = 1 << 10
const LAST_PIECE = 1 << 15

/** A sequential reader of bytes. */
export interface ContentReader {
  /**
   * Fills `into` with the next bytes.
   * @throws TrecvitError if there are fewer
   */
  fill(into: Uint8Array): Promise<void>
  /**
   * Checks that all bytes were read. Call it after the last `fill`.
   * @throws TrecvitError if there are more
   */
  end(): Promise<void>
  /** Frees resources, at the end or before. */
  close(): void
}

/**
 * Inflates raw deflate data (RFC 1951) on demand.
 * @param read reads the deflated bytes, those at..stop−1
 * @param what the subject of error messages
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
