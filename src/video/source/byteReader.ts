import { concat } from '../../base/bytes.ts'
import { asBytes } from '../../base/realm.ts'

/** Bytes that are allocated before any are received: enough for a picture of 1920x1080, 4:2:0. */
const FIRST = 1 << 22

/**
 * Reads exact numbers of bytes and whole lines from a stream of chunks. It has back-pressure:
 * nothing is read before it is requested.
 */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)
  /** Largest number of bytes that are allocated at once. */
  #believed: number

  /** @param size bytes of the stream, if known */
  constructor(stream: ReadableStream<Uint8Array>, size: number | null = null) {
    this.#reader = stream.getReader()
    this.#believed = Math.max(size ?? 0, FIRST)
  }

  /** Fills `into` and returns the number of bytes. It is smaller only at the end of the stream. */
  async fill(into: Uint8Array): Promise<number> {
    let done = 0
    while (done < into.length && (await this.#more())) {
      const part = this.#rest.subarray(0, into.length - done)
      into.set(part, done)
      done += part.length
      this.#rest = this.#rest.subarray(part.length)
    }
    return done
  }

  /**
   * Returns the next `count` bytes; fewer only at the end of the stream. A header may claim more
   * bytes than exist, so memory grows with the received bytes. As many as were already received are
   * allocated at once.
   */
  async take(count: number): Promise<Uint8Array> {
    let bytes = new Uint8Array(Math.min(count, this.#believed))
    for (let done = 0; ; ) {
      done += await this.fill(bytes.subarray(done))
      this.#believed = Math.max(this.#believed, done)
      if (done < bytes.length || done === count) return bytes.subarray(0, done)
      const grown = new Uint8Array(Math.min(count, 2 * done))
      grown.set(bytes)
      bytes = grown
    }
  }

  /**
   * Returns `head` and the bytes after it, `count` in total; fewer only at the end of the stream.
   */
  async takeBehind(head: Uint8Array, count: number): Promise<Uint8Array> {
    return concat([head, await this.take(count - head.length)])
  }

  /** Returns the next available bytes, at most `limit`; null at the end of the stream. */
  async some(limit: number): Promise<Uint8Array | null> {
    if (!(await this.#more())) return null
    return this.now(limit)
  }

  /** Bytes that were received but not read yet. */
  get hand(): Uint8Array {
    return this.#rest
  }

  /** Returns the next `count` bytes of those in `hand`. */
  now(count: number): Uint8Array {
    const part = this.#rest.subarray(0, count)
    this.#rest = this.#rest.subarray(count)
    return part
  }

  /** Yields the next `count` bytes as they arrive; fewer only at the end of the stream. */
  async *parts(count: number): AsyncGenerator<Uint8Array, void> {
    for (let left = count; left > 0; ) {
      const part = await this.some(left)
      if (part === null) return
      yield part
      left -= part.length
    }
  }

  /**
   * Returns the next line as Latin-1 text without its newline, cut at `limit` bytes; null at the
   * end of the stream.
   */
  async line(limit: number): Promise<string | null> {
    let text = ''
    while (await this.#more()) {
      const end = this.#rest.subarray(0, limit - text.length).indexOf(10)
      const part = this.#rest.subarray(0, end < 0 ? limit - text.length : end)
      text += String.fromCharCode(...part)
      this.#rest = this.#rest.subarray(part.length + (end < 0 ? 0 : 1))
      if (end >= 0 || text.length >= limit) return text
    }
    return text === '' ? null : text
  }

  /** Settles when the stream ends, is cancelled or fails. */
  get closed(): Promise<unknown> {
    return this.#reader.closed
  }

  /** Ends the stream, and any pending read. Never throws. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {})
  }

  /**
   * Returns `head` and all remaining bytes, including those already received. The reader must not
   * be used afterwards.
   */
  remainder(head: Uint8Array): ReadableStream<Uint8Array> {
    const start = [head, this.#rest].filter((part) => part.length > 0)
    const reader = this.#reader
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const value = start.shift() ?? (await reader.read()).value
          if (value === undefined) controller.close()
          else controller.enqueue(asBytes(value) ?? value)
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    )
  }

  async #more(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#reader.read()
      if (done) return false
      this.#rest = value
    }
    return true
  }
}
