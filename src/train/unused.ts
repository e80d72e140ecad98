import { descriptionOf } from '../program/describe.ts'
import { type Buffer, inputsOf, outputsOf, type Program } from '../program/program.ts'

/** Returns a program without steps whose results nothing reads. Those that change weights stay. */
export function withoutUnused(program: Program): Program {
  const read = new Set<Buffer>(Object.values(program.outputs).map(({ buffer }) => buffer))
  const steps = program.steps.toReversed().filter((step) => {
    const used = outputsOf(step).some(({ buffer }) => read.has(buffer))
    if (!used && !descriptionOf(step).writes) return false
    for (const { buffer } of inputsOf(step)) read.add(buffer)
    return true
  })
  return { ...program, steps: steps.reverse() }
}
