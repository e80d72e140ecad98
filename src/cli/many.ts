/** Work on many videos: several at a time, with progress; an error of one does not end the rest. */
import { messageOf, TrecvitError } from '../base/error.ts'
import { OutputError } from './output.ts'
import { showProgress } from './progress.ts'
import type { GlobalOptions } from './run.ts'
import { note } from './terminal.ts'
import type { Listed } from './videos.ts'

/** How many videos are worked on. */
export interface ManyOptions extends GlobalOptions {
  readonly jobs: number
}

/** The work on each video. */
export interface Work {
  /** Name of the work, for the progress bar. */
  readonly what: string
  /** Whether a video was done before. */
  isDone(video: Listed): boolean
  /** Does the work; returns why the result is incomplete, or null. */
  run(video: Listed): Promise<TrecvitError | null>
  /** Called if the work on a video throws. */
  failed(video: Listed, error: string): Promise<void>
}

/**
 * Works on all videos that are not done yet. Once the signal is aborted no work is begun.
 * @throws TrecvitError at the end, if there were errors; OutputError at once
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
      if (broken) tell(video, broken.message)
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof OutputError) throw error
      const message = messageOf(error).replace(/\s*\n\s*/g, ' ')
      tell(video, message)
      await failed(video, message)
    }
    if (!signal.aborted) progress.update(++finished)
  }
  const tell = (video: Listed, message: string): void => {
    errors++
    progress.stop()
    note(message.includes(video.source) ? message : `${video.source}: ${message}`)
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
