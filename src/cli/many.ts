/**
 * Processes several videos concurrently, with progress. An error of one does not stop the others.
 */
import { messageOf, TrecvitError } from '../base/error.ts'
import { OutputError } from './output.ts'
import { showProgress } from './progress.ts'
import type { GlobalOptions } from './run.ts'
import { note } from './terminal.ts'
import { type Listed, withSource } from './videos.ts'

/** Options for processing several videos. */
export interface ManyOptions extends GlobalOptions {
  readonly jobs: number
}

/** The work on each video. */
export interface Work {
  /** Name of the work, for the progress bar. */
  readonly what: string
  /** Whether an earlier run has completed the video. */
  isDone(video: Listed): boolean
  /** Does the work. Returns why the result is incomplete, or null. */
  run(video: Listed): Promise<TrecvitError | null>
  /** Called if `run` throws. */
  failed(video: Listed, error: string): Promise<void>
}

/**
 * Processes all videos that are not done yet. Starts no further video once the signal is aborted.
 * @throws TrecvitError at the end if there were errors, or OutputError at once
 */
export async function workOnMany(
  videos: readonly Listed[],
  { what, isDone, run, failed }: Work,
  options: ManyOptions,
  signal: AbortSignal,
): Promise<void> {
  const waiting = videos.filter((video) => !isDone(video))
  const { length } = waiting
  const progress = await showProgress(options, what, 'videos', length)
  let finished = 0
  let errors = 0
  let fatal: OutputError | undefined
  const one = async (video: Listed): Promise<void> => {
    try {
      const broken = await run(video)
      if (broken) report(video, broken.message)
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof OutputError) throw error
      const message = messageOf(error).replace(/\s*\n\s*/g, ' ')
      report(video, message)
      await failed(video, message)
    }
    if (!signal.aborted) progress.update(++finished)
  }
  const report = (video: Listed, message: string): void => {
    errors++
    progress.stop()
    note(withSource(video.source, message))
  }
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !signal.aborted && !fatal; next = waiting.shift())
      await one(next).catch((error: OutputError) => {
        fatal ??= error
      })
  }
  try {
    await Promise.all(Array.from({ length: Math.min(options.jobs, length) }, worker))
  } finally {
    progress.stop()
  }
  if (fatal) throw fatal
  if (videos.length > length && !options.quiet)
    note(`${videos.length - length} of ${videos.length} videos were done before`)
  if (errors && !signal.aborted)
    throw new TrecvitError(`${errors} of ${length} videos have errors, listed above`)
}
