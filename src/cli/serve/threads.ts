/**
 * Worker threads for the tasks of a server. Threads that fail are replaced.
 */
import { Piscina } from 'piscina'
import { serveWorker } from '../../files.ts'
import { UnavailableError } from './health.ts'
import type { Outcome } from './worker.ts'

/** Milliseconds without a task after which a thread ends. */
const IDLE = 30_000
/** Added to the niceness of the threads, so that the model and the event loop have priority. */
const NICE = 10

/** Options for one task. */
export interface TaskOptions {
  /** Name of the function in `worker.ts`. */
  readonly name: string
  /** Objects that are transferred to the thread. */
  readonly transferList: Transferable[]
  /** Cancels the task and ends its thread. */
  readonly signal: AbortSignal
}

/** A pool of threads. One starts at once, the others when they are needed. */
export class Threads {
  readonly #most: number
  readonly #onError: (error: unknown) => void
  #pool: Piscina

  /**
   * @param most largest number of threads
   * @param onError called if a thread without a task fails
   */
  constructor(most: number, onError: (error: unknown) => void) {
    this.#most = most
    this.#onError = onError
    this.#pool = this.#start()
  }

  /** Number of tasks that wait for a thread. */
  get waiting(): number {
    return this.#pool.queueSize
  }

  /**
   * Runs a task.
   * @throws UnavailableError if the thread fails or is ended
   */
  async run<T>(task: unknown, options: TaskOptions): Promise<Outcome<T>> {
    this.#restart()
    const work = this.#pool.run(task, options as never) as Promise<Outcome<T>>
    return work.catch((cause: unknown) => {
      this.#restart()
      throw new UnavailableError('The thread that prepares frames failed; try again', { cause })
    })
  }

  end(): Promise<void> {
    return this.#pool.destroy()
  }

  #start(): Piscina {
    const pool = new Piscina({
      filename: serveWorker.href,
      minThreads: 1,
      maxThreads: this.#most,
      idleTimeout: IDLE,
      niceIncrement: NICE,
      recordTiming: false,
    })
    pool.on('error', this.#onError)
    return pool
  }

  /**
   * Replaces the pool if a thread ended before it was ready: Piscina then starts no more threads.
   */
  #restart(): void {
    if (this.#pool.threads.length > 0) return
    const dead = this.#pool
    this.#pool = this.#start()
    void dead.destroy()
  }
}
