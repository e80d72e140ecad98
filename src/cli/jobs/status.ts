/** trecvit jobs status: how far the jobs are, over all workers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { showProgress } from '../progress.ts'
import type { GlobalOptions } from '../run.ts'
import { print, table } from '../terminal.ts'
import { Archive } from './archive.ts'
import type { ArchiveOptions, Counts } from './types.ts'

export interface StatusOptions extends ArchiveOptions, GlobalOptions {
  readonly watch?: boolean
}

/** Counts with the throughput of all workers. */
interface Status extends Counts {
  readonly total: number
  readonly workers: number
  /** Videos per second over all workers; null if none was finished lately. */
  readonly rate: number | null
  /** Seconds until all are done at this rate, or null. */
  readonly left: number | null
}

/** Milliseconds between two looks at the queue. */
const INTERVAL = 1000
/** Looks from which the throughput follows. */
const WINDOW = 60

export async function status(options: StatusOptions, signal: AbortSignal): Promise<void> {
  const archive = await Archive.open(options)
  try {
    if (options.watch) return await follow(archive, options, signal)
    const found = await statusOf(archive)
    print(options.json ? JSON.stringify(found) : textOf(found))
  } finally {
    await archive.close()
  }
}

/** Shows the progress until no job is left, or the signal is aborted. */
export async function follow(
  archive: Archive,
  options: GlobalOptions,
  signal: AbortSignal,
): Promise<void> {
  const progress = await showProgress(options, 'Computing', 'videos', null)
  const looks: { time: number; finished: number }[] = []
  try {
    while (!signal.aborted) {
      const counts = await statusOf(archive)
      const { done, failed, total } = counts
      looks.push({ time: performance.now(), finished: done + failed })
      if (looks.length > WINDOW) looks.shift()
      const found = { ...counts, ...rateOf(looks, total) }
      progress.update(done + failed, total)
      if (options.json) print(JSON.stringify(found))
      if (done + failed === total) break
      await sleep(INTERVAL, undefined, { signal }).catch(() => {})
    }
  } finally {
    progress.stop()
  }
  if (!options.json && !options.quiet) print(textOf(await statusOf(archive)))
}

/** Returns the throughput between the first and the last look. */
function rateOf(
  looks: readonly { readonly time: number; readonly finished: number }[],
  total: number,
): Partial<Status> {
  const [first, last] = [looks[0]!, looks.at(-1)!]
  const rate = (1000 * (last.finished - first.finished)) / (last.time - first.time)
  return rate > 0 ? { rate, left: (total - last.finished) / rate } : {}
}

async function statusOf(archive: Archive): Promise<Status> {
  const [counts, rate, workers] = await Promise.all([
    archive.counts(),
    archive.rate(),
    archive.workers(),
  ])
  const open = counts.waiting + counts.active + counts.retrying
  const total = open + counts.failed + counts.done
  return { ...counts, total, workers, rate, left: rate === null ? null : open / rate }
}

function textOf({ rate, left, ...counts }: Status): string {
  const rows = Object.entries(counts).map(([name, count]) => [name, String(count)])
  if (rate !== null) rows.push(['rate', `${rate.toFixed(rate < 10 ? 2 : 0)} videos/s`])
  if (left) rows.push(['left', durationOf(left)])
  return table(rows)
}

/** Formats seconds: "45 s", "12 min", "3.5 h". */
function durationOf(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
