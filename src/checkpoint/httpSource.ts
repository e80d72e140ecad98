/**
 * A file on an HTTP server. With Range requests, only what is read is fetched, and sequential reads
 * share a response. From a server without them, the whole file is fetched once.
 */
import { TrecvitError } from '../base/error.ts'
import { openRanges } from './httpRanges.ts'
import { contentRange, request, show } from './httpRequest.ts'
import { readWhole } from './httpWhole.ts'
import type { Source } from './source.ts'

/** The first request: large enough for the header of most checkpoints. */
const PROBE = 1 << 16

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
