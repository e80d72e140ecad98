/**
 * How the threads of a team share the steps of a program: the units of a step are dealt in parts,
 * and a barrier ends it.
 *
 * Each word has a cache line of its own. All are zero before the first run, and again between two
 * steps but for `generation`. On memory that is not shared there is one thread, which never comes
 * here: there, waiting would trap.
 */

/** Threads that have done their part. */
const ARRIVED: usize = 0
/** Counts the steps that have ended; threads wait for it to change. */
const GENERATION: usize = 64
/** Threads that do not look any more. */
const ASLEEP: usize = 128
/** Units of each part that are dealt. */
const DEALT: usize = 192

/** Parts of the units of a step, at most. */
export const PARTS: i32 = 8

/**
 * How often a thread looks at the barrier before it sleeps, at most and at least: for 20 and 2 µs.
 * Most steps end for all threads within that. A sleeper takes up to 50 µs to wake up, in which the
 * other does the next step alone and, if that is short, falls asleep, too. But where other work
 * keeps a core from the thread that is waited for, who looks for long is in its way.
 */
export const MOST_LOOKS: i32 = 4000
const FEWEST_LOOKS: i32 = 400
/**
 * Divides once a look, which makes a look 5 ns long in V8 and in JavaScriptCore; a load alone takes
 * 0.4 and 5. Not a power of two, by which an engine may multiply instead.
 */
const PACE: f64 = 1.00000001

/** Units of a part that are dealt. */
export function dealt(team: usize, part: i32): i32 {
  return atomic.load<i32>(team + DEALT + ((<usize>part) << 6))
}

/**
 * Takes the units from..to−1 of a part, if the first that is free is `from`; gives the first that
 * was free.
 */
export function deal(team: usize, part: i32, from: i32, to: i32): i32 {
  return atomic.cmpxchg<i32>(team + DEALT + ((<usize>part) << 6), from, to)
}

/**
 * Ends a step: returns when all threads have come. The last one to come readies the counters for
 * the next step.
 * @param looks how often to look before sleeping
 * @returns how often to look next time: twice as often where looking has sufficed, half as often
 * where it has not
 */
export function meet(team: usize, threads: i32, looks: i32): i32 {
  const generation = atomic.load<i32>(team + GENERATION)
  if (atomic.add<i32>(team + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(team + ARRIVED, 0)
    for (let part = 0; part < PARTS; part++)
      atomic.store<i32>(team + DEALT + ((<usize>part) << 6), 0)
    atomic.store<i32>(team + GENERATION, generation + 1)
    // Who counts itself asleep after this look finds the generation changed, and does not wait.
    if (atomic.load<i32>(team + ASLEEP)) atomic.notify(team + GENERATION, -1)
    return looks
  }
  for (let left = <f64>looks; left > 0; left = (left - 1) / PACE)
    if (atomic.load<i32>(team + GENERATION) != generation) return min(2 * looks, MOST_LOOKS)
  atomic.add<i32>(team + ASLEEP, 1)
  while (atomic.load<i32>(team + GENERATION) == generation)
    atomic.wait<i32>(team + GENERATION, generation, -1)
  atomic.sub<i32>(team + ASLEEP, 1)
  return max(looks / 2, FEWEST_LOOKS)
}
