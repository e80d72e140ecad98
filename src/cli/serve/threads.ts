/**
 * Threads that run the tasks of a server, and are replaced when they die.
 */
import { Piscina } from 'piscina'
import { serveWorker } from '../../files.ts'
import { EngineError } from './health.ts'
import type { Outcome } from './worker.ts'

/** Milliseconds without a task after which a thread ends. */
const IDLE = 30_000
/** Added to the niceness of the threads: the model and the event loop go first. */
const NICE = 10

/** How one task is run. */
export interface TaskOptions {
  /** Name of the function in `worker.ts`. */
  readonly name: string
  /** What is moved to the thread. */
  readonly transferList: Transferable[]
  /** Ends the task and its thread. */
  readonly signal: AbortSignal
}

/** Threads, of which all but one start when they are needed. */
export class Threads {
  readonly #most: number
  readonly #onError: (error: unknown) => void
  #pool: Piscina

  /**
   * @param most threads at once
   * @param onError called when a thread fails that has no task
   */
  constructor(most: number, onError: (error: unknown) => void) {
    this.#most = most
    this.#onError = onError
    this.#pool = this.#start()
  }

  /** Tasks that wait for a thread. */
  get waiting(): number {
    return this.#pool.queueSize
  }

  /**
   * @throws EngineError if the thread fails or is ended
   */
  async run<T>(task: unknown, options: TaskOptions): Promise<Outcome<T>> {
    this.#revive()
    const work = this.#pool.run(task, options as never) as Promise<Outcome<T>>
    return work.catch((cause: unknown) => {
      this.#revive()
      throw new EngineError('The thread that prepares frames failed; try again', { cause })
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

  /** Piscina starts no thread any more once one has ended before it was ready. */
  #revive(): void {
    if (this.#pool.threads.length > 0) return
    const dead = this.#pool
    this.#pool = this.#start()
    void dead.destroy()
  }
}
