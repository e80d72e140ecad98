/**
 * A file on an HTTP server. With Range requests only what is read is fetched, and reads that follow
 * each other share one response; a server without them is asked once, for everything.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import {
  BrokenConnection,
  contentRange,
  promisedSize,
  pull,
  type Reader,
  request,
  show,
} from './httpRequest.ts'
import type { Source } from './source.ts'
import { checkRange } from './source.ts'

/** The first request: large enough for the header of most checkpoints. */
const PROBE = 1 << 16
/** Bytes between two reads that are cheaper to receive and drop than to ask around. */
const GAP = 1 << 16
/**
 * One request while reading on and on. Doubled from the first to the second, so that a reader who
 * stops early wastes little.
 */
const FIRST_WINDOW = 1 << 20
const LAST_WINDOW = 1 << 25
/** Piece of a body that is kept in memory. */
const SEGMENT = 1 << 23
/** Bytes of the largest body that is kept in memory: what WebAssembly can address. */
const MAX_WHOLE = 2 ** 32
/** Connections that may break without `PROGRESS` bytes between them, and the first pause in ms. */
const MAX_BREAKS = 3
const PROGRESS = 1 << 20
const PAUSE = 250

/** A response being read: its next byte is `at` in the file, its last one `end - 1`. */
interface Body {
  readonly reader: Reader
  at: number
  readonly end: number
  rest: Uint8Array
}

/**
 * Opens a file for reading at any offset. Without Range requests, all of it is kept in memory.
 * @param signal aborts opening and every later request
 * @throws TrecvitError when the server is out of reach or answers with an error
 */
export async function openHttp(url: URL, signal: AbortSignal | undefined): Promise<Source> {
  const answer = await requestFile(url, signal)
  return answer instanceof Response ? readWhole(url, answer, signal) : answer
}

/**
 * Opens a file by ranges, or returns the answer with all of it from a server without them.
 * @param signal aborts opening and every later request
 * @throws TrecvitError when the server is out of reach or answers with an error
 */
export async function requestFile(
  url: URL,
  signal: AbortSignal | undefined,
): Promise<Source | Response> {
  const response = await request(url, { Range: `bytes=0-${PROBE - 1}` }, signal)
  if (response.status === 206) {
    const range = contentRange(response)
    if (range?.start === 0) return openRanges(url, range, response, signal)
    // A browser hides Content-Range from other origins unless the server exposes it: without it the
    // size is unknown.
    await response.body?.cancel()
    return request(url, {}, signal)
  }
  // An empty file has no first byte.
  if (response.status !== 416) return response
  throw new TrecvitError(`${show(url)} is empty (0 bytes): save or download it again`)
}

function openRanges(
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

  /** Waits before the next try, or throws the error if there were too many. */
  async function borne(error: unknown): Promise<void> {
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
          await borne(error)
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

/** Bytes of the response that are there, never none, never past its promised end. */
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

/**
 * Reads the whole body into memory. In pieces: its length is known only at its end, and one array
 * would have to grow.
 * @throws TrecvitError when it is larger than `limit` bytes, or ends before the promised size
 */
export async function readWhole(
  url: URL,
  response: Response,
  signal: AbortSignal | undefined,
  limit: number = MAX_WHOLE,
): Promise<Source> {
  const reader = checkedBody(url, response, signal).getReader()
  const segments: Uint8Array[] = []
  const check = async (size: number): Promise<void> => {
    if (size <= limit) return
    await reader.cancel()
    const reason = `has more than ${limit} bytes, and its server no Range requests`
    throw new TrecvitError(`${show(url)} ${reason}: download it, and give its path`)
  }
  await check(promisedSize(response) ?? 0)
  let size = 0
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    let bytes = part.value
    await check(size + bytes.length)
    while (bytes.length > 0) {
      const at = size % SEGMENT
      if (at === 0) segments.push(new Uint8Array(SEGMENT))
      const fits = bytes.subarray(0, SEGMENT - at)
      segments.at(-1)!.set(fits, at)
      size += fits.length
      bytes = bytes.subarray(fits.length)
    }
  }
  const source: Source = {
    name: fileNameOf(url),
    size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      for (let done = 0; done < into.length; ) {
        const at = (offset + done) % SEGMENT
        const part = segments[Math.floor((offset + done) / SEGMENT)]!.subarray(
          at,
          at + into.length - done,
        )
        into.set(part, done)
        done += part.length
      }
    },
    async close() {},
  }
  return source
}

/** The body of an answer; an error instead of an end before the promised size. */
export function checkedBody(
  url: URL,
  response: Response,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const reader = response.body!.getReader()
  const promised = promisedSize(response)
  let size = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await pull(reader, url, signal)
        if (bytes !== undefined) {
          size += bytes.length
          return controller.enqueue(bytes)
        }
        if (promised !== null && promised !== size) {
          const lack = `promised ${promised} bytes and sent ${size}`
          throw new BrokenConnection(`${show(url)} ${lack}: try again`)
        }
        controller.close()
      },
      cancel: (cause) => reader.cancel(cause),
    },
    { highWaterMark: 0 },
  )
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, milliseconds)
    signal?.addEventListener('abort', () => resolve(), { once: true })
  })
  signal?.throwIfAborted()
}

function fileNameOf(url: URL): string {
  return url.pathname.split('/').at(-1) || url.host
}
