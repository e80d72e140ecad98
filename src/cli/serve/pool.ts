/**
 * The tasks of a server on threads of their own, so that they never block its event loop.
 */
import { Piscina } from 'piscina'
import { TrecvitError } from '../../base/error.ts'
import { serveWorker } from '../../files.ts'
import { availableThreads } from '../../platform/worker.ts'
import { EngineError } from './health.ts'
import type { Tasks } from './tasks.ts'
import type { Outcome } from './worker.ts'

/** Threads at most; one decodes about 8 pictures of 8 megapixels a second. */
const THREADS = 4
/** Milliseconds without a task after which a thread ends. */
const IDLE = 30_000
/** Added to the niceness of the threads: the model and the event loop go first. */
const NICE = 10

/** Threads, of which all but one start when they are needed. */
export interface Pool {
  readonly tasks: Tasks
  /** Tasks that wait for a thread. */
  readonly waiting: number
  end(): Promise<void>
}

/** Limits of a pool. */
export interface PoolLimits {
  /** Tasks that wait at once; the server never has more. */
  readonly waiting: number
  /** Milliseconds from a task to its result. */
  readonly timeout: number
}

/** @param onError called when a thread fails that has no task */
export function openPool(limits: PoolLimits, onError: (error: unknown) => void): Pool {
  let pool = start(onError)

  async function run<T>(name: string, task: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<T> {
    if (pool.queueSize >= limits.waiting) throw new EngineError('Too many frames wait; try again')
    revive()
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), limits.timeout)
    const options = { name, transferList: [bytes.buffer], signal: late.signal }
    const work = pool.run(task, options) as Promise<Outcome<T>>
    const outcome = await work
      .catch((cause: unknown) => {
        revive()
        throw new EngineError('The thread that prepares frames failed; try again', { cause })
      })
      .finally(() => clearTimeout(timer))
    if ('refused' in outcome) throw new TrecvitError(outcome.refused)
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }

  /** Piscina starts no thread any more once one has ended before it was ready. */
  function revive(): void {
    if (pool.threads.length > 0) return
    const dead = pool
    pool = start(onError)
    void dead.destroy()
  }

  return {
    get waiting() {
      return pool.queueSize
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
    end: () => pool.destroy(),
  }
}

function start(onError: (error: unknown) => void): Piscina {
  const pool = new Piscina({
    filename: serveWorker.href,
    minThreads: 1,
    maxThreads: Math.min(THREADS, availableThreads()),
    idleTimeout: IDLE,
    niceIncrement: NICE,
    recordTiming: false,
  })
  pool.on('error', onError)
  return pool
}

/** The bytes, or a copy where they are a part of a buffer that others use. */
function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
  return isWhole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes)
}
