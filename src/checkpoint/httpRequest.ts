/**
 * HTTP requests. Their errors contain the URL and the reason.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

export type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Error: the connection failed or ended early. Another attempt may succeed. */
export class BrokenConnection extends TrecvitError {}

/**
 * Sends a request. Returns a response with status 416, or 2xx with a body.
 * @throws BrokenConnection if there is no response
 * @throws TrecvitError for any other status
 */
export async function request(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url, { headers, ...(signal && { signal }) })
  } catch (error) {
    signal?.throwIfAborted()
    const message = `${show(url)} cannot be reached (${reason(error)})`
    throw new BrokenConnection(message, { cause: error })
  }
  if ((response.ok && response.body) || response.status === 416) return response
  await response.body?.cancel()
  const status = `HTTP ${response.status} ${response.statusText}`.trimEnd()
  throw new TrecvitError(`${show(url)} answered with ${status}`)
}

/** Returns the next chunk that is not empty, or undefined at the end. */
export async function pull(
  reader: Reader,
  url: URL,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return undefined
      if (value.length > 0) return value
    }
  } catch (error) {
    signal?.throwIfAborted()
    const message = `The connection to ${show(url)} broke (${reason(error)}): try again`
    throw new BrokenConnection(message, { cause: error })
  }
}

/** Returns the declared size of the body in bytes, or null if there is none. */
export function promisedSize({ headers }: Response): number | null {
  // The length of a compressed response is its compressed size.
  const text = headers.get('content-encoding') === null ? headers.get('content-length') : null
  return text === null ? null : Number(text)
}

/** Parses `Content-Range: bytes 0-99/1234`. Returns undefined if it is missing or not valid. */
export function contentRange(
  response: Response,
): { start: number; end: number; size: number } | undefined {
  const text = response.headers.get('content-range') ?? ''
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(text)
  if (match === null) return undefined
  const range = { start: Number(match[1]), end: Number(match[2]) + 1, size: Number(match[3]) }
  return range.start < range.end && range.end <= range.size ? range : undefined
}

/** Formats a URL without user name and query, because signed URLs contain secrets there. */
export function show(url: URL): string {
  return `URL ${quote(url.origin === 'null' ? url.href.slice(0, 40) : url.origin + url.pathname)}`
}

/** Returns the file name in a URL. */
export function fileNameOf(url: URL): string {
  return url.pathname.split('/').at(-1) || url.host
}

/** Returns the reason of an error of fetch. Its message is only "fetch failed"; see its cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
