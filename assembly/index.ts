/**
 * The whole of a program in one call: a table of steps in linear memory, walked from `begin` to
 * `end` by one thread or by a team.
 *
 *   ┌────────┬───────┬───────────────────────────┐
 *   │ op i32 │ units │ arguments of that op       │  one step, STEP bytes
 *   └────────┴───────┴───────────────────────────┘
 *
 * Arguments stand in the order of src/program/ops/operation.ts, from which build/operations.ts is
 * written. Pointers are absolute, those of states relative to the stream's own memory. Strides and
 * sizes count elements. The other side of this table is src/backend/wasm/encode.ts.
 */
import { compute, Op, STEP } from '../build/operations'
import { WIDE } from './lib/target'
import { deal, dealt, meet, MOST_LOOKS, PARTS } from './lib/team'

export { packPanels, packRows, packWhole } from './lib/pack'

/**
 * One thread's part of a run; the whole of it if it is alone. Every thread of a team calls this
 * with the same program and its own scratch. Each begins with its own part of the units of a step,
 * many at first and single ones at the end, and then helps the others, so that all arrive together
 * although some are slower; they meet before the next step. Units go by rows first, so that a
 * thread mostly reads the rows that it has written itself. Which thread computes a unit changes no
 * bit of it.
 *
 * @param team where the threads meet (lib/team.ts)
 * @param thread which of them this is
 * @param scratch working memory of this thread
 * @param table first step of the program
 * @param state memory of the stream
 * @param frame frames of the stream since its reset
 * @param averageFrames frames of the stream's window, or until a weight halves
 */
export function run(
  team: usize,
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
  // At first the others are still waking up.
  let looks = MOST_LOOKS
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
      let from = dealt(team, part)
      while (from < count) {
        const to = min(count, from + max(1, (count - from) / (2 * grain)) * grain)
        const seen = deal(team, part, from, to)
        if (seen == from) {
          compute(step, scratch, state, frame, averageFrames, first + from, first + to)
          from = dealt(team, part)
        } else from = seen
      }
    }
    looks = meet(team, threads, looks)
  }
}

/** Units of a step that are dealt together: two panels that one wide tile takes. */
function grainOf(step: usize): i32 {
  const op = load<i32>(step)
  return WIDE && (op == Op.linear || op == Op.blockLinear) ? 2 : 1
}

/** The first unit of a part. */
function beginOf(part: i32, parts: i32, units: i32, grain: i32): i32 {
  return part == parts ? units : (((units / grain) * part) / parts) * grain
}
