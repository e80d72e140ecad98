/** Which steps of a program write and read a buffer. */
import {
  type Buffer,
  inputsOf,
  outputsOf,
  type Program,
  type Step,
  type StepOf,
} from '../../program/program.ts'

/** Returns the only step that writes to a buffer, if it is one of this operation. */
export function writerOf<O extends Step['op']>(
  { steps }: Program,
  buffer: Buffer,
  op: O,
): StepOf<O> | undefined {
  const [step, another] = steps.filter((step) =>
    outputsOf(step).some((output) => output.buffer === buffer),
  )
  return step?.op === op && !another ? (step as StepOf<O>) : undefined
}

/** Whether only these steps read a buffer. */
export function isOnlyFor(
  { steps, outputs }: Program,
  buffer: Buffer,
  readers: readonly Step[],
): boolean {
  return (
    !Object.values(outputs).some((output) => output.buffer === buffer) &&
    steps.every(
      (step) => readers.includes(step) || !inputsOf(step).some((input) => input.buffer === buffer),
    )
  )
}
