/** Metrics of a worker for Prometheus. Names and units follow its conventions. */
import { createServer, type Server } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { TrecvitError } from '../../base/error.ts'
import type { Counts } from './types.ts'

/** Upper bounds of the buckets of job durations, in seconds. */
const BUCKETS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]

/** Where metrics are served. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What became of a job: a result, an error, or it went back to the queue. */
export type Outcome = 'done' | 'failed' | 'given_back'

/** Metrics of one worker, and the server for them. */
export class WorkerMetrics {
  readonly #registry = new Registry()
  readonly #jobs: Counter<'outcome'>
  readonly #frames: Counter
  readonly #seconds: Histogram
  #server: Server | undefined

  /** @param counts returns the jobs of the queue; called for every scrape */
  constructor(counts: () => Promise<Counts>) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#jobs = new Counter({
      name: 'trecvit_jobs_total',
      help: 'Jobs of this worker by outcome: done, failed or given_back.',
      labelNames: ['outcome'],
      registers,
    })
    this.#frames = new Counter({
      name: 'trecvit_job_frames_total',
      help: 'Frames of the videos that this worker has finished.',
      registers,
    })
    this.#seconds = new Histogram({
      name: 'trecvit_job_duration_seconds',
      help: 'Time from the start of a job to its result.',
      buckets: BUCKETS,
      registers,
    })
    new Gauge({
      name: 'trecvit_queue_jobs',
      help: 'Jobs of the whole queue by state.',
      labelNames: ['state'],
      registers,
      async collect() {
        for (const [state, count] of Object.entries(await counts())) this.set({ state }, count)
      },
    })
  }

  /** Counts a job that has ended. */
  ended(outcome: Outcome, seconds: number, frames: number): void {
    this.#jobs.inc({ outcome })
    this.#frames.inc(frames)
    if (outcome === 'done') this.#seconds.observe(seconds)
  }

  /** @throws TrecvitError if it cannot listen there */
  async listen({ host, port }: Address): Promise<void> {
    const server = createServer((request, response) => {
      if (request.url !== '/metrics') return void response.writeHead(404).end()
      this.#registry.metrics().then(
        (text) => response.setHeader('content-type', this.#registry.contentType).end(text),
        () => response.writeHead(503).end(),
      )
    })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          new TrecvitError(
            `"--metrics" cannot listen on ${host}:${port} (${error.code}); give another port`,
            { cause: error },
          ),
        ),
      )
      server.listen(port, host, resolve)
    })
  }

  close(): void {
    this.#server?.close()
    this.#server?.closeAllConnections()
  }
}
