import type { StreamState } from '../backend/backend.ts'
import type { Engine } from '../backend/engine.ts'

/** What a job gives. One of the two is called. */
export interface Result {
  /** In the job's turn. */
  use(): void
  /** Frees what the result holds; the job is asked for again, or has failed. */
  drop(): void
}

/** One thing to do for a stream, in its turn. */
export interface Job {
  /** Frames that it takes the stream on. */
  readonly frames: number
  /** Nothing may be under way beside it. */
  readonly alone: boolean
  /** Bytes that it holds while it waits. */
  readonly bytes: number
  /**
   * Prepares everything that issuing needs, so that issuing is synchronous: the second function
   * puts the work on the device.
   */
  prepare(engine: Engine): Promise<(state: StreamState, frame: number) => Promise<Result>>
  failed(error: unknown): void
}

/** One operation of a session, from which a job is made. */
export interface Task<T, R> {
  /** Frames that it adds to the stream, by default 0. */
  readonly frames?: number
  /** Whether nothing may be under way beside it, by default true. */
  readonly alone?: boolean
  /** Bytes that it holds while it waits, by default 0. */
  readonly bytes?: number
  readonly signal?: AbortSignal | undefined
  /** Prepares everything that issuing needs of the engine, so that issuing is synchronous. */
  prepare(engine: Engine): Promise<(state: StreamState, frame: number) => Promise<T>>
  /** Called with the result in the job's turn. */
  done(result: T): R
  /** Frees a result that is not used. */
  drop?(result: T): void
}

/** Makes the job of a task, which resolves or rejects once. */
export function jobOf<T, R>(
  task: Task<T, R>,
  resolve: (result: R) => void,
  failed: (error: unknown) => void,
): Job {
  const { frames = 0, alone = true, bytes = 0 } = task
  const prepare: Job['prepare'] = async (engine) => {
    const run = await task.prepare(engine)
    return async (state, frame) => {
      const result = await run(state, frame)
      return { use: () => resolve(task.done(result)), drop: () => task.drop?.(result) }
    }
  }
  return { frames, alone, bytes, prepare, failed }
}
