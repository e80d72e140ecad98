/**
 * Runs the tasks of a server in a thread pool, so that they never block the event loop.
 */
import { TrecvitError } from '../../base/error.ts'
import { availableThreads } from '../../platform/worker.ts'
import { UnavailableError } from './health.ts'
import type { Tasks } from './tasks.ts'
import { Threads } from './threads.ts'

/** Largest number of threads. One decodes about 8 pictures of 8 megapixels per second. */
const THREADS = 4

/** A thread pool for tasks. */
export interface Pool {
  readonly tasks: Tasks
  /** Number of tasks that wait for a thread. */
  readonly waiting: number
  end(): Promise<void>
}

/** Limits of a pool. */
export interface PoolLimits {
  /** Largest number of waiting tasks. The server never has more. */
  readonly waiting: number
  /** Timeout of a task in milliseconds. */
  readonly timeout: number
}

/** @param onError called if a thread without a task fails */
export function openPool(limits: PoolLimits, onError: (error: unknown) => void): Pool {
  const threads = new Threads(Math.min(THREADS, availableThreads()), onError)

  async function run<T>(name: string, task: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<T> {
    if (threads.waiting >= limits.waiting)
      throw new UnavailableError('Too many frames wait; try again')
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), limits.timeout)
    const options = { name, transferList: [bytes.buffer], signal: late.signal }
    const outcome = await threads.run<T>(task, options).finally(() => clearTimeout(timer))
    if ('refused' in outcome) throw new TrecvitError(outcome.refused)
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }

  return {
    get waiting() {
      return threads.waiting
    },
    tasks: {
      toModel(task) {
        const bytes = movable(task.bytes)
        return run('toModel', { ...task, bytes }, bytes)
      },
      parse(task) {
        const body = movable(task.body)
        return run('parse', { ...task, body }, body)
      },
    },
    end: () => threads.end(),
  }
}

/** Returns bytes that can be transferred: a copy if they are part of a shared buffer. */
function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
  return isWhole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes)
}
