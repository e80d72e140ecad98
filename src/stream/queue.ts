import { TrecvitError } from '../base/error.ts'
import type { Job } from './job.ts'

/** Waiting jobs above which `ready` is pending. */
const HIGH_WATER = 2
/** Bytes of waiting frames above which another one is refused. */
const MOST_BYTES = 2 ** 28

/** The jobs of a stream that wait, in order, with an end to how much may wait. */
export class Queue {
  readonly #jobs: Job[] = []
  #bytes = 0
  /** Resolve what `ready` gave. */
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
   * @param signal takes the job out of the queue while it waits
   * @throws TrecvitError if too much waits already
   * @throws the reason of a signal that is already aborted
   */
  add(job: Job, signal?: AbortSignal): void {
    signal?.throwIfAborted()
    if (this.#jobs.length && this.#bytes + job.bytes > MOST_BYTES) {
      throw new TrecvitError(
        `The stream expected at most ${MOST_BYTES} bytes of waiting frames; ` +
          'await "stream.ready" first',
      )
    }
    this.#jobs.push(job)
    this.#bytes += job.bytes
    signal?.addEventListener('abort', () => this.#remove(job) && job.failed(signal.reason), {
      once: true,
    })
  }

  /** Puts jobs before all others: those that were taken, or one that comes first. */
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
