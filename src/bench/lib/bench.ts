import { breathe } from '../../platform/platform.ts'
import type { Options } from './options.ts'
import type { Report } from './report.ts'

/** Progress and early end of a bench. */
export interface Follow {
  /** Aborted: the bench reports what it has measured so far. */
  readonly signal: AbortSignal
  /** This share of the work is done, 0..1. */
  progress(share: number): void
}

/** A measurement that runs in every runtime. */
export type Bench = (options: Options, follow?: Follow) => Promise<Report>

/** No progress, no early end. */
export const unfollowed: Follow = { signal: new AbortController().signal, progress() {} }

/** Reports progress, yields to the event loop, and returns whether to go on. */
export async function goesOn({ signal, progress }: Follow, share: number): Promise<boolean> {
  progress(Math.min(1, share))
  await breathe()
  return !signal.aborted
}

/** Part `index` of `count` equal parts of the work, followed as a whole. */
export function part({ signal, progress }: Follow, index: number, count: number): Follow {
  return { signal, progress: (share) => progress((index + share) / count) }
}
