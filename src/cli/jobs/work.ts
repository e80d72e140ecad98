/** trecvit jobs work: computes the jobs of a queue. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Job, Worker } from 'bullmq'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import type { TRecViT } from '../../model/trecvit.ts'
import { deviceOf, openModel } from '../model.ts'
import type { ModelOptions } from '../options.ts'
import { needPackages } from '../packages.ts'
import type { GlobalOptions } from '../run.ts'
import { note } from '../terminal.ts'
import { withSource } from '../videos.ts'
import { Archive, PREFIX } from './archive.ts'
import { type Context, compute } from './compute.ts'
import { Pace } from './keeper.ts'
import type { Address, WorkerMetrics } from './metrics.ts'
import { type Settings, settingsHash } from './settings.ts'
import type { ArchiveOptions, JobData } from './types.ts'
import { Warnings } from './warnings.ts'

export interface WorkOptions
  extends ArchiveOptions,
    GlobalOptions,
    Pick<ModelOptions, 'device' | 'threads' | 'experimentalRevectorize' | 'yes'> {
  readonly model?: string
  readonly jobs: number
  /** Seconds after which the jobs of a lost worker go to another. */
  readonly lease: number
  readonly drain?: boolean
  readonly metrics?: Address
}

/** Milliseconds between two looks at an empty queue. */
const INTERVAL = 500
/** Milliseconds that a worker has to leave. */
const LEAVING = 3000
/** Least time between two saved states of a job, in leases. */
const SAVE_EVERY = 0.3
/** Times that a job may lose its worker before it is parked: it may be what kills them. */
const MOST_LOSSES = 25

export async function work(options: WorkOptions, signal: AbortSignal): Promise<void> {
  const log = (text: string): void => {
    if (!options.quiet) note(text)
  }
  const archive = await Archive.open(options, {
    attempts: Infinity,
    onChange: (isConnected, host) =>
      log(
        isConnected
          ? `Redis at ${host} is back`
          : `Redis at ${host} is lost; the worker goes on, and connects again`,
      ),
  })
  try {
    const settings = await settingsWhenThere(archive, log, signal)
    if (!settings) return
    await using model = await modelFor(settings, options, signal)
    log(`Working on the queue ${quote(archive.name)}: ${settings.task}, ${deviceOf(model)}`)
    const problem = await run(archive, settings, model, options, log, signal)
    if (problem) throw problem
  } finally {
    await Promise.race([archive.close(), sleep(LEAVING)])
  }
}

/** Waits for the first submission. Returns null if the signal is aborted before. */
async function settingsWhenThere(
  archive: Archive,
  log: (text: string) => void,
  signal: AbortSignal,
): Promise<Settings | null> {
  const aborted = new Promise<null>((resolve) =>
    signal.addEventListener('abort', () => resolve(null), { once: true }),
  )
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    // A Redis that is lost does not reply.
    const settings = await Promise.race([archive.settings(), aborted])
    if (settings) return settings
    if (isFirst) log(`The queue ${quote(archive.name)} is empty; waiting for "trecvit jobs submit"`)
    await sleep(INTERVAL, undefined, { signal }).catch(() => {})
  }
  return null
}

async function modelFor(
  { model: given, fingerprint }: Settings,
  { model: own, device, threads, experimentalRevectorize, yes, quiet }: WorkOptions,
  signal: AbortSignal,
): Promise<TRecViT> {
  const source = own ?? given.model
  const model = await openModel(
    {
      ...given,
      model: source,
      device,
      ...(threads !== undefined && { threads }),
      ...(experimentalRevectorize && { experimentalRevectorize }),
      ...(yes && { yes }),
      ...(quiet && { quiet }),
    },
    signal,
  )
  if (model.fingerprint === fingerprint) return model
  await model.dispose()
  throw new TrecvitError(
    `The jobs are for the model ${fingerprint}, and ${quote(source)} is ${model.fingerprint}; ` +
      'give the same file as "--model"',
  )
}

/** Computes jobs until the signal is aborted. Returns why the worker has to end, or null. */
async function run(
  archive: Archive,
  settings: Settings,
  model: TRecViT,
  options: WorkOptions,
  log: (text: string) => void,
  signal: AbortSignal,
): Promise<TrecvitError | null> {
  const hash = settingsHash(settings)
  const ending = new AbortController()
  const stop = AbortSignal.any([signal, ending.signal])
  let problem: TrecvitError | null = null
  const metrics = await metricsFor(archive, options)
  const warnings = new Warnings(log, (error) => archive.sentenceOf(error))
  const context: Context = {
    ...{ archive, settings, model, warnings, log, signal: stop },
    pace: new Pace(SAVE_EVERY * 1000 * options.lease),
    ended: (...job) => metrics?.ended(...job),
  }
  const process = async (job: Job<JobData>, token?: string): Promise<void> => {
    if (job.data.settings !== hash) {
      problem = new TrecvitError(
        `The queue ${quote(archive.name)} was filled again with other options; ` +
          'start the worker again',
      )
      ending.abort()
    }
    return compute(context, job, token)
  }
  const worker = new Worker<JobData>(archive.name, process, {
    connection: archive.redis,
    prefix: PREFIX,
    concurrency: options.jobs,
    lockDuration: 1000 * options.lease,
    stalledInterval: 500 * options.lease,
    maxStalledCount: MOST_LOSSES,
    runRetryDelay: INTERVAL,
    drainDelay: 1,
    metrics: { maxDataPoints: 60 },
  })
  worker.on('error', (error) => {
    if (!stop.aborted) warnings.report(error)
  })
  worker.on('failed', (job, { message }) => {
    if (!job) return log(message)
    const attempts = `attempt ${job.attemptsMade} of ${job.opts.attempts}`
    log(`${withSource(job.data.video, message)} (${attempts})`)
  })
  if (options.drain) {
    void untilDrained(archive, stop).then(() => ending.abort())
  }
  if (!stop.aborted)
    await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
  await Promise.race([worker.close(), sleep(LEAVING)])
  metrics?.close()
  return problem
}

/** Serves metrics, if they are wanted. */
async function metricsFor(
  archive: Archive,
  { metrics: address }: WorkOptions,
): Promise<WorkerMetrics | null> {
  if (!address) return null
  await needPackages('jobs', ['prom-client'])
  const { WorkerMetrics } = await import('./metrics.ts')
  const metrics = new WorkerMetrics(() => archive.counts())
  await metrics.listen(address)
  return metrics
}

/** Resolves when no job waits or runs. */
async function untilDrained(archive: Archive, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { waiting, active, retrying } = await archive.counts()
    if (waiting + active + retrying === 0) return
    await sleep(INTERVAL, undefined, { signal }).catch(() => {})
  }
}
