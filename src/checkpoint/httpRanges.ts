/**
 * A file on an HTTP server with Range requests. A broken connection is opened again.
 */
import { pause } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import {
  BrokenConnection,
  contentRange,
  fileNameOf,
  pull,
  type Reader,
  request,
  show,
} from './httpRequest.ts'
import { checkRange, type Source } from './source.ts'

/** Largest gap between two reads, in bytes. Smaller gaps are received and dropped. */
const GAP = 1 << 16
/**
 * First and last size of a request during sequential reads, in bytes. The size doubles, so that a
 * reader that stops early wastes little.
 */
const FIRST_WINDOW = 1 << 20
const LAST_WINDOW = 1 << 25
/** Number of broken connections without `PROGRESS` bytes in between, and the first pause in ms. */
const MAX_BREAKS = 3
const PROGRESS = 1 << 20
const PAUSE = 250

/**
 * A response that is being read. `at` is the offset of its next byte; `end - 1` that of the last.
 */
interface Body {
  readonly reader: Reader
  at: number
  readonly end: number
  rest: Uint8Array
}

/**
 * Returns a source that reads a file by ranges.
 * @param first end of the range in `response`, which starts at 0, and the size of the file
 * @param signal aborts every later request
 */
export function openRanges(
  url: URL,
  first: { end: number; size: number },
  response: Response,
  signal: AbortSignal | undefined,
): Source {
  const { size } = first
  let idle: Body | undefined = {
    reader: response.body!.getReader(),
    at: 0,
    end: first.end,
    rest: new Uint8Array(0),
  }
  let window = FIRST_WINDOW
  let last = 0
  let closed = false
  let breaks = 0
  let received = 0

  /** Waits before the next attempt. Throws the error after too many attempts. */
  async function retryAfter(error: unknown): Promise<void> {
    if (!(error instanceof BrokenConnection) || closed) throw error
    breaks = received < PROGRESS ? breaks + 1 : 1
    received = 0
    if (breaks > MAX_BREAKS) throw error
    await pause(PAUSE * 2 ** (breaks - 1), signal)
  }

  async function open(start: number, length: number): Promise<Body> {
    const end = Math.min(size, start + length)
    const response = await request(url, { Range: `bytes=${start}-${end - 1}` }, signal)
    const range = contentRange(response)
    if (
      response.status === 206 &&
      range?.start === start &&
      range.end === end &&
      range.size === size
    ) {
      return { reader: response.body!.getReader(), at: start, end, rest: new Uint8Array(0) }
    }
    await response.body?.cancel()
    if (range !== undefined && range.size !== size)
      throw new TrecvitError(
        `${show(url)} changed from ${size} to ${range.size} bytes while it was read`,
      )
    throw new TrecvitError(
      `${show(url)} was asked for bytes ${start} to ${end - 1} and answered with HTTP ` +
        `${response.status}, Content-Range ` +
        `${quote(response.headers.get('content-range') ?? 'none')}`,
    )
  }

  return {
    name: fileNameOf(url),
    size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      let body = idle
      idle = undefined
      if (body !== undefined && (offset < body.at || offset - body.at > GAP)) {
        drop(body)
        body = undefined
      }
      const onward = offset >= last && offset - last <= GAP
      window = onward ? Math.min(2 * window, LAST_WINDOW) : FIRST_WINDOW
      last = offset + into.length
      for (let done = 0; done < into.length; ) {
        let bytes: Uint8Array
        try {
          if (body === undefined || body.at === body.end) {
            body = await open(offset + done, Math.max(into.length - done, onward ? window : 0))
          }
          bytes = await next(body, url, signal)
        } catch (error) {
          if (body !== undefined) drop(body)
          body = undefined
          await retryAfter(error)
          continue
        }
        if (body.rest.length === 0) received += bytes.length
        const skip = Math.min(bytes.length, offset + done - body.at)
        const used = bytes.subarray(skip, skip + into.length - done)
        into.set(used, done)
        done += used.length
        body.at += skip + used.length
        body.rest = bytes.subarray(skip + used.length)
      }
      if (body === undefined || body.at === body.end) return
      if (idle === undefined && !closed) idle = body
      else drop(body)
    },
    async close() {
      closed = true
      if (idle !== undefined) drop(idle)
      idle = undefined
    },
  }
}

/** Returns the next bytes of the response: at least one, and none after its declared end. */
async function next(body: Body, url: URL, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const bytes = body.rest.length > 0 ? body.rest : await pull(body.reader, url, signal)
  if (bytes === undefined) {
    const end = `ended at byte ${body.at}, before the promised ${body.end}`
    throw new BrokenConnection(`The answer of ${show(url)} ${end}: try again`)
  }
  return bytes.subarray(0, body.end - body.at)
}

function drop(body: Body): void {
  body.reader.cancel().catch(() => {})
}
