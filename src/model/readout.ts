import type { AverageKind } from '../program/program.ts'

/**
 * A read-out: the average over frames from which a head answers. The operation `average` computes
 * it for each frame: the mean over all frames since the reset, over a window, or weighted by age.
 */
export interface ReadOut {
  /** Begins the names of its outputs. */
  readonly path: string
  readonly over: AverageKind
}

/**
 * The read-outs of a program: the model's own over all frames, and a second one, `recent`, for
 * streams that average otherwise.
 */
export function readOutsOf(recent: AverageKind): ReadOut[] {
  const own: ReadOut = { path: '', over: 'all' }
  return recent === 'all' ? [own] : [own, { path: 'recent/', over: recent }]
}
