/** The operations of training as their formulas say, in float64 (test/reference.ts). */
import type { StepOf } from '../../src/program/program.ts'
import type { Memory } from '../reference.ts'

/** By name; test/reference.ts takes them in. */
export const training = { sumRows }

/** out = Σ x over the rows */
function sumRows({ outputs, inputs }: StepOf<'sumRows'>, memory: Memory): void {
  const [out] = memory.rows(outputs.out)
  out!.fill(0)
  for (const x of memory.rows(inputs.x)) x.forEach((value, i) => (out![i]! += value))
}
