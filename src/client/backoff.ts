/** Longest pauses before the first attempt to connect again, and before any, in milliseconds. */
const FIRST = 100
const LONGEST = 3000

/**
 * Returns the pause before an attempt, in milliseconds. It is random, so that the clients of a lost
 * server do not all come at the same moment.
 * @param failures attempts that have failed since the last connection
 */
export function pauseBefore(failures: number): number {
  return Math.random() * Math.min(LONGEST, FIRST * 2 ** failures)
}
