/**
 * Work sharing and the barrier between the threads that run a program.
 *
 * The units of a step are split into parts, and threads claim units of them. A barrier ends the
 * step.
 *
 * Memory: each word has a cache line of its own. All words are zero before the first run. Between
 * two steps all but GENERATION are zero again. A single thread on memory that is not shared must
 * not call arriveAndWait(): waiting would trap.
 */

/** Number of threads that have reached the barrier. */
const ARRIVED: usize = 0
/** Number of completed steps. Threads at the barrier wait for it to change. */
const GENERATION: usize = 64
/** Number of threads that sleep, or are about to. */
const SLEEPING: usize = 128
/** Number of claimed units of each part. */
const CLAIMED: usize = 192

/** The most parts that a step is split into. */
export const PARTS: i32 = 8

/**
 * The largest spin count before a thread sleeps: 20 µs.
 *
 * Most steps end for all threads within this time. A sleeping thread takes up to 50 µs to wake up.
 * Meanwhile the other threads do the next step without it. If that step is short, they finish it
 * and sleep, too.
 */
export const MOST_SPINS: i32 = 4000
/**
 * The smallest spin count: 2 µs. If other processes use the cores, long spinning takes time from
 * the very thread that it waits for.
 */
const FEWEST_SPINS: i32 = 400
/**
 * Each spin divides once by this number, which makes a spin 5 ns in V8 and in JavaScriptCore. A
 * load alone takes 0.4 ns in one and 5 ns in the other. It is not a power of two, because a runtime
 * may multiply by the inverse of a power of two.
 */
const PACE: f64 = 1.00000001

/** Returns the number of claimed units of a part. */
export function claimed(barrier: usize, part: i32): i32 {
  return atomic.load<i32>(barrier + CLAIMED + ((<usize>part) << 6))
}

/**
 * Claims the units from..to−1 of a part if `from` is its first free unit.
 * @returns the first free unit before the call: `from` on success
 */
export function claim(barrier: usize, part: i32, from: i32, to: i32): i32 {
  return atomic.cmpxchg<i32>(barrier + CLAIMED + ((<usize>part) << 6), from, to)
}

/**
 * The barrier that ends a step: returns when all threads have called it. The last one resets the
 * counters for the next step.
 * @param spins spin count before sleeping
 * @returns the next spin count: twice this one if spinning was enough, half of it if not
 */
export function arriveAndWait(barrier: usize, threads: i32, spins: i32): i32 {
  const generation = atomic.load<i32>(barrier + GENERATION)
  if (atomic.add<i32>(barrier + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(barrier + ARRIVED, 0)
    for (let part = 0; part < PARTS; part++)
      atomic.store<i32>(barrier + CLAIMED + ((<usize>part) << 6), 0)
    atomic.store<i32>(barrier + GENERATION, generation + 1)
    // A thread that is counted after this load sees the new generation, and does not wait.
    if (atomic.load<i32>(barrier + SLEEPING)) atomic.notify(barrier + GENERATION, -1)
    return spins
  }
  for (let left = <f64>spins; left > 0; left = (left - 1) / PACE)
    if (atomic.load<i32>(barrier + GENERATION) != generation) return min(2 * spins, MOST_SPINS)
  atomic.add<i32>(barrier + SLEEPING, 1)
  while (atomic.load<i32>(barrier + GENERATION) == generation)
    atomic.wait<i32>(barrier + GENERATION, generation, -1)
  atomic.sub<i32>(barrier + SLEEPING, 1)
  return max(spins / 2, FEWEST_SPINS)
}
