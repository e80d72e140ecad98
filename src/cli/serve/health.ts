/**
 * Tracks whether the model can compute.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> unknown
 *   unknown --> ready: an answer, or a probe succeeds
 *   unknown --> failed: a probe fails
 *   ready --> unknown: 5 s without an answer
 *   ready --> failed: the model fails
 *   failed --> ready: an answer, or a probe succeeds
 * ```
 */
import { TrecvitError } from '../../base/error.ts'
import type { TRecViT } from '../../model/trecvit.ts'

/** Milliseconds after a result during which the model counts as ready without a probe. */
const FRESH = 5000
/** Timeout of a probe in milliseconds. */
const TIMEOUT = 5000

/** Error of the server for a valid input: a device was lost, or memory is exhausted. */
export class UnavailableError extends Error {}

export class Health {
  readonly #model: TRecViT
  #answered = -Infinity
  #failure: string | null = null
  #probe: Promise<void> | undefined

  constructor(model: TRecViT) {
    this.#model = model
  }

  /**
   * Waits for work of the model with a valid input, and records the outcome.
   * @param signal aborted when the client cancels the work; that says nothing about the model
   * @throws UnavailableError if the model failed
   */
  async watch<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      const result = await work
      this.answered()
      return result
    } catch (error) {
      if (signal?.aborted) throw error
      this.#failure = error instanceof Error ? error.message : String(error)
      throw error instanceof TrecvitError
        ? new UnavailableError(error.message, { cause: error })
        : error
    }
  }

  /** Records that the model has returned a result. */
  answered(): void {
    this.#answered = performance.now()
    this.#failure = null
  }

  /** Returns why the model cannot compute, or null. Runs one frame if there is no recent result. */
  async check(): Promise<string | null> {
    const isFresh = performance.now() - this.#answered < FRESH
    if (this.#failure !== null || !isFresh) {
      this.#probe ??= this.#run().finally(() => (this.#probe = undefined))
      await this.#probe
    }
    return this.#failure
  }

  async #run(): Promise<void> {
    const [height, width] = this.#model.config.imageSize
    const frame = { data: new Uint8Array(height * width * 3), shape: [1, height, width, 3] }
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`A frame took longer than ${TIMEOUT / 1000} s`)
      timer = setTimeout(() => reject(error), TIMEOUT)
    })
    await this.watch(Promise.race([this.#model.forward(frame), late])).catch(() => {})
    clearTimeout(timer)
  }
}
