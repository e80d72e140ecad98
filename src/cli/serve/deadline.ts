/**
 * Timeouts of requests.
 */
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

/**
 * A signal that is aborted after a timeout or when the client disconnects. AbortSignal.timeout and
 * .any are not used: they keep the request in memory until the timeout, which is hundreds of
 * megabytes at 3000 requests/s.
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal
  readonly #late = new Error('The request timed out')
  readonly #end: () => void

  /** @param disconnected aborted when the client disconnects */
  constructor(milliseconds: number, disconnected: AbortSignal) {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(this.#late), milliseconds)
    const abort = () => controller.abort(disconnected.reason)
    disconnected.addEventListener('abort', abort)
    if (disconnected.aborted) abort()
    this.signal = controller.signal
    this.#end = () => {
      clearTimeout(timer)
      disconnected.removeEventListener('abort', abort)
    }
  }

  /**
   * Waits for work that uses the signal.
   * @throws HTTPException with this status and message after the timeout
   * @throws any other error of the work
   */
  async unless<T>(work: Promise<T>, status: ContentfulStatusCode, message: string): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw error === this.#late ? new HTTPException(status, { message }) : error
    }
  }

  [Symbol.dispose](): void {
    this.#end()
  }
}
