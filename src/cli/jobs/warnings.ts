/** Reports what goes wrong beside the jobs of a worker, each as one sentence. */
import { isConnectionError, isFull } from '../redis.ts'

/**
 * Errors of BullMQ about a job whose lease has ended: it waits again, is with another worker, or is
 * done and removed.
 */
const LEASE = new RegExp(
  '^(could not renew lock|Missing lock|Missing key|Lock mismatch) for job ' +
    '|^Job \\S+ is not in the active state',
)

export class Warnings {
  readonly #log: (text: string) => void
  readonly #sentenceOf: (error: unknown) => string
  #isFull = false
  #hasLostLease = false

  /** @param sentenceOf returns the sentence for an error of Redis */
  constructor(log: (text: string) => void, sentenceOf: (error: unknown) => string) {
    this.#log = log
    this.#sentenceOf = sentenceOf
  }

  /** Reports an error. A loss of the connection is reported by the connection. */
  report(error: unknown): void {
    if (isConnectionError(error)) return
    const sentence = this.#sentenceOf(error)
    if (isFull(error)) {
      if (!this.#isFull) this.#log(`${sentence}; the worker waits`)
      this.#isFull = true
    } else if (!LEASE.test(sentence)) this.#log(`warning: ${sentence}`)
    else if (!this.#hasLostLease) {
      this.#hasLostLease = true
      this.#log(
        'warning: A lease has ended before its job; another worker may compute the job, too, ' +
          'and the result is stored once',
      )
    }
  }

  /** Tells that a result was stored. */
  stored(): void {
    if (this.#isFull) this.#log('Redis has room again; results are stored')
    this.#isFull = false
  }
}
