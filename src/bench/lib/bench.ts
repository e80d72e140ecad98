import { yieldToEventLoop } from '../../platform/platform.ts'
import type { Options } from './options.ts'
import type { Report } from './report.ts'

/** Progress and early end of a bench. */
export interface Monitor {
  /** When aborted, the bench reports what it has measured so far. */
  readonly signal: AbortSignal
  /** Called with the completed share of the work, 0..1. */
  progress(share: number): void
}

/** A measurement that runs in every runtime. */
export type Bench = (options: Options, monitor?: Monitor) => Promise<Report>

/** A monitor without progress, which never aborts. */
export const unmonitored: Monitor = { signal: new AbortController().signal, progress() {} }

/** Reports progress, yields to the event loop, and returns whether to continue. */
export async function shouldContinue(
  { signal, progress }: Monitor,
  share: number,
): Promise<boolean> {
  progress(Math.min(1, share))
  await yieldToEventLoop()
  return !signal.aborted
}

/** Returns a monitor for part `index` of `count` equal parts of the work. */
export function part({ signal, progress }: Monitor, index: number, count: number): Monitor {
  return { signal, progress: (share) => progress((index + share) / count) }
}
