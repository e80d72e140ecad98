/**
 * An archive in Redis: a BullMQ queue of jobs, and beside it what is kept without them.
 *
 *   <prefix>:<name>:…          BullMQ: which jobs wait, run, are retried or have failed
 *   <prefix>:<name>:settings   task, model and options; the same for all jobs
 *   <prefix>:<name>:videos     video → its job
 *   <prefix>:<name>:results    job → result
 *   <prefix>:<name>:saved:<id> how far a job has come, for the next worker; it expires
 */
import { type JobsOptions, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { messageOf, TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { openRedis, type RedisOptions, redisError } from '../redis.ts'
import { changesOf, type Settings } from './settings.ts'
import {
  type ArchiveOptions,
  byVideo,
  type Counts,
  type Entry,
  type Failed,
  type JobData,
} from './types.ts'

/** First part of all keys. */
export const PREFIX = 'trecvit'
/** Attempts of a job before it is parked, with pauses of 1 s and 2 s between them. */
const ATTEMPTS = 3
/** Attempts to connect again after Redis was lost, one after a second at most. */
const RECONNECTS = 10

/** The jobs of a name, and their results. */
export class Archive {
  readonly name: string
  readonly redis: Redis
  readonly queue: Queue<JobData>
  readonly #url: string
  /** First part of the keys. */
  readonly key: string

  private constructor({ queue: url, name }: ArchiveOptions, redis: Redis) {
    this.name = name
    this.redis = redis
    this.#url = url
    this.key = `${PREFIX}:${name}`
    this.queue = new Queue(name, { connection: redis, prefix: PREFIX })
    // Errors reject the calls, too.
    this.queue.on('error', () => {})
  }

  /**
   * A command fails if a lost Redis is not back after a few attempts. A worker has no limit.
   * @throws TrecvitError if Redis cannot be reached
   */
  static async open(
    options: ArchiveOptions,
    { attempts = RECONNECTS, ...rest }: RedisOptions = {},
  ): Promise<Archive> {
    return new Archive(options, await openRedis(options.queue, { attempts, ...rest }))
  }

  /** Returns the settings of all jobs, or null before the first submission. */
  async settings(): Promise<Settings | null> {
    const text = await this.ask(this.redis.get(`${this.key}:settings`))
    return text === null ? null : (JSON.parse(text) as Settings)
  }

  /** @throws TrecvitError if there are none */
  async needSettings(): Promise<Settings> {
    const settings = await this.settings()
    if (settings) return settings
    throw new TrecvitError(
      `The queue ${quote(this.name)} is empty; fill it with "trecvit jobs submit"`,
    )
  }

  /**
   * Sets the settings of all jobs.
   * @throws TrecvitError if the jobs that are there have other settings
   */
  async claim(settings: Settings): Promise<void> {
    const set = this.redis.set(`${this.key}:settings`, JSON.stringify(settings), 'NX')
    if ((await this.ask(set)) === 'OK') return
    const changes = changesOf(await this.needSettings(), settings)
    if (changes.length === 0) return
    throw new TrecvitError(
      `The queue ${quote(this.name)} has jobs with another ${changes.join(' and another ')}; ` +
        'give another "--name", or remove them with "trecvit jobs clear"',
    )
  }

  /**
   * Adds the job of a video, unless it is there.
   * @param priority 1 is the first; without one, a job comes before all with one
   * @returns what the video had before: nothing (new), a job, a job that failed, or a result
   */
  async add(
    key: string,
    entry: Entry,
    data: JobData,
    priority?: number,
  ): Promise<'new' | 'waiting' | 'failed' | 'done'> {
    const { id } = entry
    const [, done, exists, failed] = await this.#pipeline([
      ['hset', `${this.key}:videos`, key, JSON.stringify(entry)],
      ['hexists', `${this.key}:results`, id],
      ['exists', `${this.key}:${id}`],
      ['zscore', `${this.key}:failed`, id],
    ])
    if (done) return 'done'
    if (failed) return 'failed'
    if (exists) return 'waiting'
    const options: JobsOptions = {
      jobId: id,
      attempts: ATTEMPTS,
      backoff: { type: 'exponential', delay: 1000 },
      removeOnComplete: true,
      stackTraceLimit: 0,
      ...(priority !== undefined && { priority }),
    }
    await this.ask(this.queue.add('video', data, options))
    return 'new'
  }

  /** Returns the number of jobs by state. */
  async counts(): Promise<Counts> {
    const found = this.queue.getJobCounts(
      ...(['waiting', 'prioritized', 'active', 'delayed', 'failed'] as const),
    )
    const counts = await this.ask(found)
    const done = await this.ask(this.redis.hlen(`${this.key}:results`))
    const of = (name: string): number => counts[name] ?? 0
    return {
      waiting: of('waiting') + of('prioritized'),
      active: of('active'),
      retrying: of('delayed'),
      failed: of('failed'),
      done,
    }
  }

  /** Returns the jobs finished per second in the last full minute, or null if there was none. */
  async rate(): Promise<number | null> {
    const { data, meta } = await this.ask(this.queue.getMetrics('completed', 0, 0))
    const isRecent = Date.now() - meta.prevTS < 120_000
    return data[0] && isRecent ? data[0] / 60 : null
  }

  /** Returns the number of workers that are connected. */
  async workers(): Promise<number> {
    return this.ask(this.queue.getWorkersCount())
  }

  /** Returns the jobs that have failed for the last time, by name. */
  async failed(): Promise<Failed[]> {
    const jobs = await this.ask(this.queue.getFailed())
    return jobs
      .map(({ id, data, failedReason }) => ({ id: id!, video: data.video, error: failedReason! }))
      .sort(byVideo)
  }

  /** Lets all failed jobs wait again. Returns their number. */
  async retry(): Promise<number> {
    const jobs = await this.ask(this.queue.getFailed())
    for (const job of jobs)
      await this.ask(job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }))
    return jobs.length
  }

  /** Returns whether a job has a result, and what its last worker saved. */
  async state(id: string): Promise<{ isDone: boolean; saved: Readonly<Record<string, Buffer>> }> {
    const [isDone, saved] = await Promise.all([
      this.redis.hexists(`${this.key}:results`, id),
      this.redis.hgetallBuffer(`${this.key}:saved:${id}`),
    ])
    return { isDone: isDone === 1, saved }
  }

  /** Saves how far a job has come. */
  async save(
    id: string,
    fields: Readonly<Record<string, string | Buffer>>,
    milliseconds: number,
  ): Promise<void> {
    const key = `${this.key}:saved:${id}`
    await this.#pipeline([
      ['hset', key, ...Object.entries(fields).flat()],
      ['pexpire', key, milliseconds],
    ])
  }

  /** Stores the result of a job, unless it has one. */
  async finish(id: string, result: unknown): Promise<void> {
    await this.#pipeline([
      ['hsetnx', `${this.key}:results`, id, JSON.stringify(result)],
      ['unlink', `${this.key}:saved:${id}`],
    ])
  }

  /** Removes all jobs and results. */
  async clear(): Promise<void> {
    const own = ['settings', 'videos', 'results'].map((part) => `${this.key}:${part}`)
    await this.ask(this.queue.obliterate({ force: true }))
    await this.ask(this.redis.unlink(...own))
  }

  async close(): Promise<void> {
    await this.queue.close()
    this.redis.disconnect()
  }

  /** Sends commands together. Returns their replies, or throws the first error. */
  async #pipeline(commands: (string | number | Buffer)[][]): Promise<unknown[]> {
    const replies = (await this.redis.pipeline(commands as unknown[][]).exec()) ?? []
    const failed = replies.find(([error]) => error)
    if (failed) throw redisError(this.#url, failed[0])
    return replies.map(([, reply]) => reply)
  }

  /** Returns the sentence for an error of Redis. */
  sentenceOf(error: unknown): string {
    return messageOf(redisError(this.#url, error))
  }

  /** Waits for a reply. Errors of Redis become sentences. */
  async ask<T>(reply: Promise<T>): Promise<T> {
    return reply.catch((error: unknown) => {
      throw redisError(this.#url, error)
    })
  }
}
