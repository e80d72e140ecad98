/**
 * An end to patience with a request.
 */
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

/**
 * Aborts its signal after some time, or when the client goes away. AbortSignal.timeout and .any
 * would hold the request until that time is over: at 3000 requests a second, hundreds of megabytes.
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal
  readonly #late = new Error('The time is over')
  readonly #end: () => void

  /** @param gone aborted when the client goes away */
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
   * The result of work that ends with the signal.
   * @throws HTTPException with this status and message if the time was over first; else whatever
   * the work throws
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
