import type { Kind } from '../backend/engine.ts'
import { disposedError, type EngineSource } from '../backend/engines.ts'
import { messageOf, TrecvitError } from '../base/error.ts'
import type { History } from './history.ts'
import type { Job, Result } from './job.ts'
import { Queue } from './queue.ts'
import { type Placement, type Recovery, throwIfLost } from './recovery.ts'

/** Largest number of jobs under way. With two, a GPU computes a chunk while the next is encoded. */
const DEPTH: Record<Kind, number> = { wasm: 1, webgpu: 2 }

/** A job on the device. */
interface UnderWay {
  readonly job: Job
  readonly result: Promise<Result>
}

/**
 * Runs the jobs of a session, in order.
 *
 *   idle ── add ──▶ running ── no job left ──▶ idle ── close ──▶ closed
 *
 * `close` waits for the jobs that were added before. While running, a runner repeats three steps:
 *
 *   1. ensurePlacement: an engine, and the state of the session on it (recovery.ts)
 *   2. issue: start jobs, as many as may be under way
 *   3. finish: await the oldest job and use its result, or a new job, which may be issued before
 *
 * When a device is lost, one of the steps throws. `recover` then returns all jobs without a result
 * to the queue and replaces the engine (recovery.ts), and the steps start again. So each job has
 * one result, in order.
 */
export class Runner {
  readonly #engines: EngineSource
  readonly #history: History
  readonly #recovery: Recovery
  readonly #queue = new Queue()
  readonly #underWay: UnderWay[] = []
  #running = false
  #closing: Promise<void> | undefined
  #closed = (): void => {}
  /** Called when a job was added while others are under way. */
  #added = (): void => {}

  constructor(engines: EngineSource, history: History, recovery: Recovery) {
    this.#engines = engines
    this.#history = history
    this.#recovery = recovery
  }

  /** Number of jobs that wait or are under way. */
  get pending(): number {
    return this.#queue.length + this.#underWay.length
  }

  /** Resolves when few jobs wait. */
  get ready(): Promise<void> {
    return this.#queue.ready
  }

  /**
   * Adds a job at the end of the queue.
   * @param signal removes the job from the queue while it waits
   * @returns a function that detaches the job from the signal; to be called when the job is done
   * @throws TrecvitError if the runner is closed, the model was disposed of or the queue is full
   * @throws the reason of a signal that is already aborted
   */
  add(job: Job, signal?: AbortSignal): () => void {
    if (this.#closing) throw new TrecvitError('The stream was disposed of; open another one')
    if (this.#engines.closed) throw disposedError()
    const ignoreAbort = this.#queue.add(job, signal)
    if (this.#running) this.#added()
    else void this.#run()
    return ignoreAbort
  }

  /** Adds a job at the front of the queue. Called by a job. */
  addNext(job: Job): void {
    this.#queue.addFirst([job])
  }

  /** Waits for the jobs that were added before, then frees the state and the history. */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = new Promise((resolve) => (this.#closed = resolve))
      if (!this.#running) this.#close()
    }
    return this.#closing
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.pending) {
      if (this.#engines.closed) {
        this.#rejectAll(new TrecvitError('The model was disposed of before its work was done'))
        break
      }
      try {
        const placement = await this.#recovery.ensurePlacement()
        await this.#issue(placement)
        await this.#finish(placement)
      } catch (error) {
        await this.#recover(error)
      }
    }
    this.#running = false
    if (this.#closing) this.#close()
  }

  /** Issues as many jobs as may be under way. */
  async #issue({ engine, state }: Placement): Promise<void> {
    while (this.#queue.length && this.#underWay.length < DEPTH[engine.kind]) {
      const isAlone = this.#queue.first!.alone || this.#underWay[0]?.job.alone
      if (this.#underWay.length && isAlone) return
      const job = this.#queue.take()!
      let start: Awaited<ReturnType<Job['prepare']>>
      try {
        start = await job.prepare(engine)
      } catch (error) {
        if (engine.lossReason !== null || !(error instanceof TrecvitError)) {
          this.#queue.addFirst([job])
          throw error
        }
        job.reject(error)
        continue
      }
      const issued = this.#underWay.reduce((sum, { job }) => sum + job.frames, 0)
      const result = start(state, this.#history.frame + issued)
      result.catch(() => {})
      this.#underWay.push({ job, result })
    }
  }

  /** Waits for the oldest job under way, or for another job to issue before it is done. */
  async #finish({ engine }: Placement): Promise<void> {
    const oldest = this.#underWay[0]
    if (!oldest) return
    const added = new Promise<void>((resolve) => (this.#added = resolve))
    const result = await Promise.race([oldest.result, added])
    if (!result) return
    throwIfLost(engine)
    this.#underWay.shift()
    this.#recovery.resetLosses()
    result.use()
  }

  /**
   * Recovers after an error. After a device loss, all jobs without a result are issued again on the
   * next engine. Any other error rejects the oldest job; the state is computed again without it.
   */
  async #recover(error: unknown): Promise<void> {
    if (this.#engines.closed) return
    if (!this.#recovery.isDeviceLoss(error)) {
      const failedJob = this.#underWay.shift()?.job ?? this.#queue.take()
      this.#requeue()
      this.#recovery.freeState()
      // There is no job if the only one was aborted while its placement was being made.
      return failedJob?.reject(asTrecvitError(error))
    }
    this.#requeue()
    try {
      await this.#recovery.replaceEngine(error)
    } catch (error) {
      this.#rejectAll(asTrecvitError(error))
    }
  }

  /** Returns the jobs under way to the queue. Their results, if any arrive, are dropped. */
  #requeue(): void {
    const all = this.#underWay.splice(0)
    for (const { result } of all)
      result.then(
        ({ drop }) => drop(),
        () => {},
      )
    this.#queue.addFirst(all.map(({ job }) => job))
  }

  #rejectAll(error: TrecvitError): void {
    this.#requeue()
    for (let job = this.#queue.take(); job; job = this.#queue.take()) job.reject(error)
    this.#recovery.freeState()
  }

  #close(): void {
    this.#recovery.freeState()
    this.#history.clear()
    this.#closed()
  }
}

function asTrecvitError(error: unknown): TrecvitError {
  if (error instanceof TrecvitError) return error
  return new TrecvitError(`The frame could not be computed (${messageOf(error)})`, { cause: error })
}
