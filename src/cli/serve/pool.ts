/**
 * The tasks of a server on threads of their own, so that they never block its event loop.
 */
import { Piscina } from 'piscina'
import { TrecvitError } from '../../error.ts'
import { serveWorker } from '../../files.ts'
import { availableThreads } from '../../platform/worker.ts'
import type { Tasks } from './tasks.ts'
import type { Outcome } from './worker.ts'

/** Threads at most; one decodes about 8 pictures of 8 megapixels a second. */
const THREADS = 4
/** Milliseconds without a task after which a thread ends. */
const IDLE = 30_000
/** Added to the niceness of the threads: the model and the event loop go first. */
const NICE = 10

/** Threads that start when they are needed. */
export interface Pool {
  readonly tasks: Tasks
  /** Tasks that wait for a thread. */
  readonly waiting: number
  end(): Promise<void>
}

/** @param most tasks that wait at once; the server never has more */
export function openPool(most: number): Pool {
  const pool = new Piscina({
    filename: serveWorker.href, minThreads: 0, maxThreads: Math.min(THREADS, availableThreads()),
    maxQueue: most, idleTimeout: IDLE, niceIncrement: NICE, recordTiming: false,
  })

  async function run<T>(name: string, task: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<T> {
    const outcome = await pool.run(task, { name, transferList: [bytes.buffer] }) as Outcome<T>
    if ('refused' in outcome) throw new TrecvitError(outcome.refused)
    return outcome.result
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

/** The bytes, or a copy where they are a part of a buffer that others use. */
function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
  return isWhole ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes)
}
