/**
 * Runs a whole program in one call: a table of steps in linear memory, from `begin` to `end`, on
 * one thread or several.
 *
 *   ┌────────┬───────┬───────────────────────────┐
 *   │ op i32 │ units │ arguments of that op       │  one step, STEP bytes
 *   └────────┴───────┴───────────────────────────┘
 *
 * The arguments have the order of src/program/ops/operation.ts. The build generates
 * build/operations.ts from it. Pointers are absolute; pointers to states are relative to the memory
 * of the stream. Strides and sizes count elements. src/backend/wasm/encode.ts writes this table.
 */
import { compute, Op, STEP } from '../build/operations'
import { WIDE } from './lib/target'
import { claim, claimed, arriveAndWait, MOST_SPINS, PARTS } from './lib/barrier'

export { packPanels, packRows, packInt8 } from './lib/pack'

/**
 * Runs one thread's part of a program, or all of it if there is one thread. Every thread calls this
 * with the same program and a scratch of its own.
 *
 * Work sharing: the units of a step are split into parts, one for each thread. A thread first takes
 * units of its own part: many at a time in the beginning, one at a time at the end. Then it takes
 * units of the other parts, so all threads end together although some are slower. A barrier ends
 * the step.
 *
 * Units are ordered by rows, so a thread mostly reads rows that it has written itself. Results do
 * not depend on which thread computes a unit.
 *
 * @param barrier memory of the barrier and the counts of claimed units (lib/barrier.ts)
 * @param thread index of this thread
 * @param scratch working memory of this thread
 * @param table first step of the program
 * @param state memory of the stream
 * @param frame frames of the stream since its reset
 * @param averageFrames frames of the stream's window, or half-life in frames
 */
export function run(
  barrier: usize,
  thread: i32,
  threads: i32,
  scratch: usize,
  table: usize,
  begin: i32,
  end: i32,
  state: usize,
  frame: f64,
  averageFrames: f64,
): void {
  const parts = min(threads, PARTS)
  // At first the other threads are still waking up.
  let spins = MOST_SPINS
  for (let index = begin; index < end; index++) {
    const step = table + <usize>index * STEP
    const units = load<i32>(step, 4)
    if (threads == 1) {
      compute(step, scratch, state, frame, averageFrames, 0, units)
      continue
    }
    const grain = grainOf(step)
    for (let other = 0; other < parts; other++) {
      const part = (thread + other) % parts
      const first = beginOf(part, parts, units, grain)
      const count = beginOf(part + 1, parts, units, grain) - first
      let from = claimed(barrier, part)
      while (from < count) {
        const to = min(count, from + max(1, (count - from) / (2 * grain)) * grain)
        const seen = claim(barrier, part, from, to)
        if (seen == from) {
          compute(step, scratch, state, frame, averageFrames, first + from, first + to)
          from = claimed(barrier, part)
        } else from = seen
      }
    }
    spins = arriveAndWait(barrier, threads, spins)
  }
}

/** Units that are taken together: the two panels of a wide tile. */
function grainOf(step: usize): i32 {
  const op = load<i32>(step)
  return WIDE && (op == Op.linear || op == Op.blockLinear) ? 2 : 1
}

/** The first unit of a part. */
function beginOf(part: i32, parts: i32, units: i32, grain: i32): i32 {
  return part == parts ? units : (((units / grain) * part) / parts) * grain
}
