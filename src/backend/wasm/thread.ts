import script from '../../../build/worker.txt'
import { TrecvitError } from '../../base/error.ts'
import { type PlatformWorker, startWorker } from '../../platform/worker.ts'
import type { Message, Reply } from './worker.ts'

/** A call that waits for its answer. */
interface Waiting {
  resolve(result: never): void
  reject(error: Error): void
  /** Seconds until the call times out. */
  left: number
}

/**
 * Milliseconds for a new worker to answer. After that another one is started instead. Firefox 153
 * sometimes never runs a worker that was started by a worker while others end, and sends no event.
 */
const START_TIMEOUTS = [1500, 3000, 6000]

/** Seconds for the answer to a call, by default. */
export const CALL_TIMEOUT = 60

/**
 * A worker with an instance of the kernels, seen from its owner. It keeps the process alive only
 * while an answer is awaited.
 *
 * A worker can end without an event, for example when a browser runs out of memory. A watchdog
 * counts the seconds of a waiting call, in ticks of the owner's event loop. There are no ticks
 * while the process is suspended, so it does not time out then.
 */
export class Thread {
  readonly #worker: PlatformWorker
  readonly #waiting = new Map<number, Waiting>()
  readonly #watchdog: ReturnType<typeof setInterval>
  #failure: Error | undefined
  #calls = 0

  private constructor(url: string | URL | undefined) {
    this.#worker = startWorker(script, url, {
      message: (data) => this.#receive(data as Reply),
      failed: (reason) => this.end(threadError(reason)),
    })
    this.#worker.keep(false)
    this.#watchdog = setInterval(() => this.#tick(), 1000)
    ;(this.#watchdog as { unref?(): void }).unref?.()
  }

  /** Why the worker can no longer be used, or null. */
  get failure(): string | null {
    return this.#failure?.message ?? null
  }

  /**
   * Starts a worker and opens its instance.
   * @param url script of the worker, instead of the built-in text
   * @param args arguments of `open` (worker.ts)
   * @returns the thread, and the size of its memory in bytes; rejects if workers are refused or do
   * not start
   */
  static async open(
    url: string | URL | undefined,
    args: readonly unknown[],
    [timeout, ...further]: readonly number[] = START_TIMEOUTS,
  ): Promise<{ readonly thread: Thread; readonly size: number }> {
    const thread = new Thread(url)
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      thread.end(threadError('it does not start'))
    }, timeout)
    try {
      return { thread, size: await thread.call<number>('open', args) }
    } catch (error) {
      thread.end(error as Error)
      if (timedOut && further.length) return Thread.open(url, args, further)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Calls a method of the instance.
   * @param timeout seconds after which a worker without an answer is ended
   */
  call<T>(
    method: Message['method'],
    args: readonly unknown[],
    timeout: number = CALL_TIMEOUT,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure) return reject(this.#failure)
      if (!this.#waiting.size) this.#worker.keep(true)
      const id = this.#calls++
      this.#waiting.set(id, { resolve, reject, left: timeout })
      this.#worker.post({ id, method, args } satisfies Message)
    })
  }

  /** Calls a method without an answer. An error ends the thread. */
  post(method: Message['method'], args: readonly unknown[]): void {
    if (!this.#failure) this.#worker.post({ method, args } satisfies Message)
  }

  /** Ends the worker at once. Unanswered and later calls reject with this error. */
  end(error: Error): void {
    if (this.#failure) return
    this.#failure = error
    owners.unregister(this)
    clearInterval(this.#watchdog)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    this.#worker.end()
  }

  #tick(): void {
    for (const call of this.#waiting.values()) {
      if (--call.left < 0) return this.end(threadError('it does not answer'))
    }
  }

  #receive({ id, result, error }: Reply): void {
    const waiting = id === undefined ? undefined : this.#waiting.get(id)
    if (!waiting) {
      if (error !== undefined) this.end(threadError(error))
      return
    }
    this.#waiting.delete(id!)
    if (!this.#waiting.size) this.#worker.keep(false)
    if (error === undefined) waiting.resolve(result as never)
    else waiting.reject(threadError(error))
  }
}

const threadError = (why: string): TrecvitError =>
  new TrecvitError(`A thread of the CPU backend failed (${why})`, { cause: why })

const disposed = (): TrecvitError =>
  new TrecvitError('The model was disposed of before its work was done')

/** Ends the thread of each registered owner that became garbage. */
const owners = new FinalizationRegistry<Thread>((thread) => thread.end(disposed()))

/**
 * Ends threads once their owner is garbage, because workers do not end by themselves. A thread that
 * has ended is unregistered: the stack of its error refers to the owner, which would otherwise
 * never become garbage.
 */
export function endWith(owner: object, threads: readonly Thread[]): void {
  for (const thread of threads) owners.register(owner, thread, thread)
}

/** Ends threads. Their unanswered calls reject with the error. */
export function end(threads: readonly Thread[], error: Error = disposed()): void {
  for (const thread of threads) thread.end(error)
}
