/**
 * A file on an HTTP server. With Range requests only the ranges that are read are fetched, and
 * sequential reads share a response. A server without Range requests sends the whole file once.
 */
import { TrecvitError } from '../base/error.ts'
import { openRanges } from './httpRanges.ts'
import { contentRange, request, show } from './httpRequest.ts'
import { readWhole } from './httpWhole.ts'
import type { Source } from './source.ts'

/** Size of the first request: larger than the header of most checkpoints. */
const PROBE = 1 << 16

/**
 * Opens a file that can be read at any offset. Without Range requests the whole file is kept in
 * memory.
 * @param signal aborts opening and every later request
 * @throws TrecvitError if the server cannot be reached or returns an error
 */
export async function openHttp(url: URL, signal: AbortSignal | undefined): Promise<Source> {
  const answer = await requestFile(url, signal)
  return answer instanceof Response ? readWhole(url, answer, signal) : answer
}

/**
 * Opens a file by ranges. Returns the response with the whole file if the server has no Range
 * requests.
 * @param signal aborts opening and every later request
 * @throws TrecvitError if the server cannot be reached or returns an error
 */
export async function requestFile(
  url: URL,
  signal: AbortSignal | undefined,
): Promise<Source | Response> {
  const response = await request(url, { Range: `bytes=0-${PROBE - 1}` }, signal)
  if (response.status === 206) {
    const range = contentRange(response)
    if (range?.start === 0) return openRanges(url, range, response, signal)
    // The size is unknown without Content-Range. A browser hides this header from other origins
    // unless the server exposes it.
    await response.body?.cancel()
    return request(url, {}, signal)
  }
  // An empty file has no first byte: status 416.
  if (response.status !== 416) return response
  throw new TrecvitError(`${show(url)} is empty (0 bytes): save or download it again`)
}
