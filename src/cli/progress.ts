/**
 * A progress bar on standard error, if that is a terminal.
 */
import type { SingleBar } from 'cli-progress'
import type { GlobalOptions } from './run.ts'

/** Work with a progress bar. */
export interface Progress {
  /** Sets the amount of work that is done. `total` may become known, or change, later. */
  update(done: number, total?: number): void
  /** Hides the bar until the next update. */
  stop(): void
}

/** Milliseconds without a bar. Shorter work shows none. */
const DELAY = 400

/**
 * @param unit "frames" or "MB", shown with the number per second; null shows only a percentage
 * @param total amount of work, or null if unknown
 */
export async function showProgress(
  { quiet }: GlobalOptions,
  what: string,
  unit: string | null,
  total: number | null,
): Promise<Progress> {
  if (quiet || process.stderr.isTTY !== true) return { update() {}, stop() {} }
  const { default: progress } = await import('cli-progress')
  const start = performance.now()
  let bar: SingleBar | undefined
  let known = total
  // Work of an earlier run counts as done, but not for the rate.
  let first: number | undefined
  return {
    update(done, now) {
      known = now ?? known
      first ??= done
      const seconds = (performance.now() - start) / 1000
      const counts = {
        count: String(Math.round(done)),
        rate: ((done - first) / seconds).toFixed(1),
      }
      if (!bar && seconds * 1000 > DELAY) {
        const counted = unit === null ? '' : `  {count} ${unit}  {rate} ${unit}/s`
        const format =
          known === null
            ? `${what}${counted}`
            : `${what} {bar} {percentage} %${counted}  {eta_formatted} left`
        bar = new progress.SingleBar(
          { format, barsize: 24, clearOnComplete: true, hideCursor: false },
          progress.Presets.shades_classic,
        )
        bar.start(known ?? 0, done, counts)
      }
      if (known !== null) bar?.setTotal(Math.max(known, done))
      bar?.update(done, counts)
    },
    stop() {
      bar?.stop()
      bar = undefined
    },
  }
}
