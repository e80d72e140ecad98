/**
 * A file on an HTTP server. With Range requests only what is read is fetched, and reads that follow each other share one response;
 * a server without them is asked once, for everything.
 */
import { TrecvitError } from '../error.ts'
import { checkRange } from './checkRange.ts'
import { quote } from './quote.ts'
import type { Source } from './source.ts'

/** The first request: large enough for the header of most checkpoints. */
const PROBE = 1 << 16
/** Bytes between two reads that are cheaper to receive and drop than to ask around. */
const GAP = 1 << 16
/** One request while reading on and on. Doubled from the first to the second, so that a reader who stops early wastes little. */
const FIRST_WINDOW = 1 << 20
const LAST_WINDOW = 1 << 25
/** Piece of a body that is kept in memory. */
const SEGMENT = 1 << 23

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** A response being read: its next byte is `at` in the file, its last one `end - 1`. */
interface Body {
  readonly reader: Reader
  at: number
  readonly end: number
  rest: Uint8Array
}

/**
 * @param signal aborts opening and every later request
 * @throws TrecvitError when the server is out of reach or answers with an error
 */
export async function openHttp(url: URL, signal: AbortSignal | undefined): Promise<Source> {
  const response = await request(url, { Range: `bytes=0-${PROBE - 1}` }, signal)
  if (response.status === 206) {
    const range = contentRange(response)
    if (range?.start === 0) return openRanges(url, range, response, signal)
    // A browser hides Content-Range from other origins unless the server exposes it: without it the size is unknown.
    await response.body?.cancel()
    return openWhole(url, await request(url, {}, signal), signal)
  }
  // An empty file has no first byte.
  if (response.status === 416) throw new TrecvitError(`Checkpoint ${show(url)} is empty (0 bytes)`)
  return openWhole(url, response, signal)
}

function openRanges(url: URL, first: { end: number; size: number }, response: Response, signal: AbortSignal | undefined): Source {
  const { size } = first
  let idle: Body | undefined = { reader: bodyOf(response, url), at: 0, end: first.end, rest: new Uint8Array(0) }
  let window = FIRST_WINDOW
  let last = 0
  let closed = false

  async function open(start: number, length: number): Promise<Body> {
    const end = Math.min(size, start + length)
    const response = await request(url, { Range: `bytes=${start}-${end - 1}` }, signal)
    const range = contentRange(response)
    if (response.status === 206 && range?.start === start && range.end === end && range.size === size) {
      return { reader: bodyOf(response, url), at: start, end, rest: new Uint8Array(0) }
    }
    await response.body?.cancel()
    if (range !== undefined && range.size !== size) throw new TrecvitError(`URL ${show(url)} changed from ${size} to ${range.size} bytes while it was read`)
    throw new TrecvitError(
      `URL ${show(url)} was asked for bytes ${start} to ${end - 1} and answered with HTTP ${response.status}, Content-Range ${quote(response.headers.get('content-range') ?? 'none')}`,
    )
  }

  return {
    name: nameOf(url),
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
        if (body === undefined || body.at === body.end) {
          body = await open(offset + done, Math.max(into.length - done, onward ? window : 0))
        }
        const bytes = await next(body, url, signal)
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
  if (bytes === undefined) throw new TrecvitError(`The answer of ${show(url)} ended at byte ${body.at}, before the promised ${body.end}`)
  return bytes.subarray(0, body.end - body.at)
}

function drop(body: Body): void {
  body.reader.cancel().catch(() => {})
}

/** The whole body in memory. In pieces: its length is known only at its end, and one array would have to grow. */
async function openWhole(url: URL, response: Response, signal: AbortSignal | undefined): Promise<Source> {
  const reader = bodyOf(response, url)
  const segments: Uint8Array[] = []
  let size = 0
  for (let bytes = await pull(reader, url, signal); bytes !== undefined; bytes = await pull(reader, url, signal)) {
    while (bytes.length > 0) {
      const at = size % SEGMENT
      if (at === 0) segments.push(new Uint8Array(SEGMENT))
      const part = bytes.subarray(0, SEGMENT - at)
      segments.at(-1)!.set(part, at)
      size += part.length
      bytes = bytes.subarray(part.length)
    }
  }
  const promised = response.headers.get('content-encoding') === null ? response.headers.get('content-length') : null
  if (promised !== null && Number(promised) !== size) throw new TrecvitError(`URL ${show(url)} promised ${promised} bytes and sent ${size}: try again`)
  const source: Source = {
    name: nameOf(url),
    size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      for (let done = 0; done < into.length; ) {
        const at = (offset + done) % SEGMENT
        const part = segments[Math.floor((offset + done) / SEGMENT)]!.subarray(at, at + into.length - done)
        into.set(part, done)
        done += part.length
      }
    },
    async close() {},
  }
  return source
}

async function request(url: URL, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
  let response
  try {
    response = await fetch(url, { headers, ...(signal && { signal }) })
  } catch (error) {
    signal?.throwIfAborted()
    throw new TrecvitError(`URL ${show(url)} cannot be reached (${reason(error)})`, { cause: error })
  }
  if (response.ok || response.status === 416) return response
  await response.body?.cancel()
  throw new TrecvitError(`URL ${show(url)} answered with HTTP ${response.status} ${response.statusText}`.trimEnd())
}

/** The next non-empty chunk, or undefined at the end. */
async function pull(reader: Reader, url: URL, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return undefined
      if (value.length > 0) return value
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw new TrecvitError(`The connection to ${show(url)} broke (${reason(error)}): try again`, { cause: error })
  }
}

/** `Content-Range: bytes 0-99/1234` as start, end (exclusive) and size; undefined when absent, hidden, unknown or absurd. */
function contentRange(response: Response): { start: number; end: number; size: number } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(response.headers.get('content-range') ?? '')
  if (match === null) return undefined
  const range = { start: Number(match[1]), end: Number(match[2]) + 1, size: Number(match[3]) }
  return range.start < range.end && range.end <= range.size ? range : undefined
}

function bodyOf(response: Response, url: URL): Reader {
  if (response.body === null) throw new TrecvitError(`URL ${show(url)} answered with HTTP ${response.status} and no body`)
  return response.body.getReader()
}

/** fetch says "fetch failed" and hides why one level deeper. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

/** Without user name and query: signed URLs carry secrets there. */
function show(url: URL): string {
  return quote(url.origin + url.pathname)
}

function nameOf(url: URL): string {
  return url.pathname.split('/').at(-1) || url.host
}
