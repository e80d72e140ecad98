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
  readonly #late = new Error('The time is over')
  readonly #end: () => void

  /** @param gone aborted when the client disconnects */
  constructor(milliseconds: number, gone: AbortSignal) {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(this.#late), milliseconds)
    const leave = () => controller.abort(gone.reason)
    gone.addEventListener('abort', leave)
    if (gone.aborted) leave()
    this.signal = controller.signal
    this.#end = () => {
      clearTimeout(timer)
      gone.removeEventListener('abort', leave)
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
