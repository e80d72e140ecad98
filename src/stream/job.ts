import type { StreamState } from '../backend/backend.ts'
import type { Engine } from '../backend/engine.ts'

/** The result of a job. Exactly one of the two methods is called. */
export interface Result {
  /** Uses the result. Called in the order of the jobs. */
  use(): void
  /** Frees the result. Called if the job is issued again, or has failed. */
  drop(): void
}

/** One operation of a stream in its queue. */
export interface Job {
  /** Frames that it adds to the stream. */
  readonly frames: number
  /** Whether no other job may be under way at the same time. */
  readonly alone: boolean
  /** Bytes that it holds while it waits. */
  readonly bytes: number
  /**
   * Prepares everything that issuing needs, so that issuing is synchronous. The returned function
   * issues the work on the device.
   */
  prepare(engine: Engine): Promise<(state: StreamState, frame: number) => Promise<Result>>
  /** Called once instead of using a result. */
  reject(error: unknown): void
}

/** One operation of a session, from which a job is made. */
export interface Task<T, R> {
  /** Frames that it adds to the stream, by default 0. */
  readonly frames?: number
  /** Whether no other job may be under way at the same time, by default true. */
  readonly alone?: boolean
  /** Bytes that it holds while it waits, by default 0. */
  readonly bytes?: number
  readonly signal?: AbortSignal | undefined
  /**
   * Prepares everything that issuing needs of the engine, so that issuing is synchronous. The
   * returned function issues the work on the device.
   */
  prepare(engine: Engine): Promise<(state: StreamState, frame: number) => Promise<T>>
  /** Called with the result, in the order of the jobs. */
  done(result: T): R
  /** Frees a result that is not used. */
  drop?(result: T): void
}

/** Makes the job of a task. Its promise settles once. */
export function jobOf<T, R>(
  task: Task<T, R>,
  resolve: (result: R) => void,
  reject: (error: unknown) => void,
): Job {
  const { frames = 0, alone = true, bytes = 0 } = task
  const prepare: Job['prepare'] = async (engine) => {
    const run = await task.prepare(engine)
    return async (state, frame) => {
      const result = await run(state, frame)
      return { use: () => resolve(task.done(result)), drop: () => task.drop?.(result) }
    }
  }
  return { frames, alone, bytes, prepare, reject }
}
