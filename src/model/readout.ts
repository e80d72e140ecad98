import type { AverageKind } from '../program/program.ts'

/**
 * A read-out: the average over frames that a head reads. The operation `average` computes it for
 * each frame: the mean over all frames since the reset, over a window, or weighted by age.
 */
export interface ReadOut {
  /** Prefix of the names of its outputs. */
  readonly path: string
  readonly over: AverageKind
}

/**
 * Returns the read-outs of a program: one over all frames, and `recent` for streams with another
 * average.
 */
export function readOutsOf(recent: AverageKind): ReadOut[] {
  const own: ReadOut = { path: '', over: 'all' }
  return recent === 'all' ? [own] : [own, { path: 'recent/', over: recent }]
}
