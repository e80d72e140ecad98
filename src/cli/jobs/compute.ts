/** Computes one job. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Job, WaitingError } from 'bullmq'
import type { TRecViT } from '../../model/trecvit.ts'
import { isFull } from '../redis.ts'
import type { Archive } from './archive.ts'
import { type Classified, classifyJob } from './classifyJob.ts'
import { type Encoded, featuresJob } from './featuresJob.ts'
import { Keeper, type Pace } from './keeper.ts'
import type { Outcome } from './metrics.ts'
import type { Settings } from './settings.ts'
import type { JobData } from './types.ts'
import type { Warnings } from './warnings.ts'

/** Milliseconds between two attempts to store a result in a Redis that is full. */
const PAUSE = 500

/** What jobs are computed with. */
export interface Context {
  readonly archive: Archive
  readonly settings: Settings
  readonly model: TRecViT
  readonly pace: Pace
  /** When aborted, jobs are given back. */
  readonly signal: AbortSignal
  readonly warnings: Warnings
  log(text: string): void
  ended(outcome: Outcome, seconds: number, frames: number): void
}

/**
 * Computes a job and stores its result, unless it has one.
 * @throws WaitingError if the job was given back
 * @throws Error why the job has failed
 */
export async function compute(context: Context, job: Job<JobData>, token?: string): Promise<void> {
  const { archive, settings, model, signal, warnings, log } = context
  const { id = '', data } = job
  const start = performance.now()
  const ended = (outcome: Outcome, frames = 0): void =>
    context.ended(outcome, (performance.now() - start) / 1000, frames)
  const giveBack = async (): Promise<never> => {
    ended('given_back')
    await job.moveToWait(token)
    throw new WaitingError()
  }
  if (signal.aborted) return giveBack()
  const { isDone, saved } = await archive.state(id)
  if (isDone) return
  const keeper = new Keeper<never>(archive, id, saved, {
    pace: context.pace,
    onError: (error) => warnings.report(error),
  })
  if (keeper.from) log(`${data.video}: goes on from frame ${keeper.from.frames}`)
  let result: Classified | Encoded | null
  try {
    const input = { ...data, id }
    result = await (settings.task === 'features'
      ? featuresJob(model, input, settings, keeper, signal)
      : classifyJob(model, input, settings, keeper, signal))
  } catch (error) {
    if (signal.aborted) return giveBack()
    ended('failed')
    throw error
  }
  if (!result || !(await finish(context, id, result))) return giveBack()
  ended('done', result.frames)
}

/** Stores a result. Waits while Redis is full. Returns false if the signal was aborted before. */
async function finish(
  { archive, signal, warnings }: Context,
  id: string,
  result: Classified | Encoded,
): Promise<boolean> {
  for (;;) {
    try {
      await archive.finish(id, result)
      warnings.stored()
      return true
    } catch (error) {
      if (!isFull(error)) throw error
      if (signal.aborted) return false
      warnings.report(error)
      await sleep(PAUSE, undefined, { signal }).catch(() => {})
    }
  }
}
