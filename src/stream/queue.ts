import { onAbort } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import type { Job } from './job.ts'

/** Number of waiting jobs above which `ready` is pending. */
const HIGH_WATER = 2
/** Bytes of waiting frames above which a new one is refused. */
const MOST_BYTES = 2 ** 28

/** The waiting jobs of a stream, in order, with a limit. */
export class Queue {
  readonly #jobs: Job[] = []
  #bytes = 0
  /** Functions that resolve the promises of `ready`. */
  readonly #waiting: (() => void)[] = []

  get length(): number {
    return this.#jobs.length
  }

  get first(): Job | undefined {
    return this.#jobs[0]
  }

  /** Resolves when few jobs wait. */
  get ready(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#jobs.length < HIGH_WATER) resolve()
      else this.#waiting.push(resolve)
    })
  }

  /**
   * Adds a job at the end.
   * @param signal removes the job from the queue while it waits
   * @returns a function that detaches the job from the signal; to be called when the job is done
   * @throws TrecvitError if the limit is reached
   * @throws the reason of a signal that is already aborted
   */
  add(job: Job, signal?: AbortSignal): () => void {
    signal?.throwIfAborted()
    if (this.#jobs.length && this.#bytes + job.bytes > MOST_BYTES) {
      throw new TrecvitError(
        `The stream expected at most ${MOST_BYTES} bytes of waiting frames; ` +
          'await "stream.ready" first',
      )
    }
    this.#jobs.push(job)
    this.#bytes += job.bytes
    return onAbort(signal, () => this.#remove(job) && job.reject(signal!.reason))
  }

  /** Adds jobs at the front. */
  addFirst(jobs: readonly Job[]): void {
    this.#jobs.unshift(...jobs)
    for (const { bytes } of jobs) this.#bytes += bytes
  }

  /** Removes and returns the first job, or returns undefined if none waits. */
  take(): Job | undefined {
    const [job] = this.#jobs
    if (job) this.#remove(job)
    return job
  }

  #remove(job: Job): boolean {
    const at = this.#jobs.indexOf(job)
    if (at < 0) return false
    this.#jobs.splice(at, 1)
    this.#bytes -= job.bytes
    if (this.#jobs.length < HIGH_WATER) for (const resolve of this.#waiting.splice(0)) resolve()
    return true
  }
}
