/** Windows of recordings: the clips that a head learns from, and those that it is tested on. */

/** Features of the frames of a recording, [t, d]. */
export interface Rows {
  readonly data: Float32Array
  /** d */
  readonly width: number
}

/** A window: `frames` rows from `start` on. */
export interface Window {
  readonly rows: Rows
  readonly start: number
}

/** Windows of one action that it learns from. */
const PER_ACTION = 96
/** Most windows of one action that it is tested on. */
const HELD_OUT = 32
/** Part of a recording, from its end, that is held out. */
const PART = 1 / 4

export const lengthOf = ({ data, width }: Rows): number => data.length / width

/**
 * Returns the frame at which the held-out end of a recording begins. It has at least one window. A
 * recording that is too short for two windows is used whole.
 */
export function splitOf(t: number, frames: number): number {
  const split = t - Math.max(frames, Math.floor(t * PART))
  return split < frames ? t : split
}

/**
 * Returns windows of the recordings of an action. No frame is both in a window to learn from and in
 * a held-out one. Each action has the same number of windows to learn from, so a long recording
 * does not make an action more probable.
 * @param frames length of a window
 */
export function windowsOf(
  recordings: readonly Rows[],
  frames: number,
): { readonly train: readonly Window[]; readonly heldOut: readonly Window[] } {
  const train: Window[] = []
  const heldOut: Window[] = []
  for (const rows of recordings) {
    const t = lengthOf(rows)
    const split = splitOf(t, frames)
    for (let start = 0; start + frames <= split; start++) train.push({ rows, start })
    for (let start = split; start + frames <= t; start++) heldOut.push({ rows, start })
  }
  return {
    train: evenly(train, PER_ACTION),
    heldOut: heldOut.length > HELD_OUT ? evenly(heldOut, HELD_OUT) : heldOut,
  }
}

/** Returns the features of a window, [frames, d]. */
export function featuresOf({ rows: { data, width }, start }: Window, frames: number): Float32Array {
  return data.slice(start * width, (start + frames) * width)
}

/** Returns so many elements at even distances; some repeatedly if there are fewer. */
function evenly<T>(all: readonly T[], count: number): T[] {
  if (all.length === 0) return []
  return Array.from({ length: count }, (_, index) => all[Math.floor((index * all.length) / count)]!)
}
