import { descriptionOf } from '../program/describe.ts'
import { type Buffer, outputsOf, type Step, type Tensor } from '../program/program.ts'
import { AGAIN } from './carried.ts'
import type { TrainingRecorder } from './recorder.ts'
import type { Tape } from './tape.ts'

/**
 * Records steps once more, so that their results need not be kept from the first time. The results
 * have the same bits. Their states are new ones, which the caller gives the values of the old ones
 * before the chunk (carried.ts).
 * @returns the new steps; the gradients of the old results are those of the new ones now
 */
export function repeat(ops: TrainingRecorder, tape: Tape, steps: readonly Step[]): Step[] {
  const renewed = new Map<Buffer, Buffer>()
  const first = ops.steps.length
  const view = (x: Tensor): Tensor => ({ ...x, buffer: renewed.get(x.buffer) ?? x.buffer })
  for (const step of steps) {
    const record = ops[step.op] as (name: string, ...args: unknown[]) => unknown
    record.call(ops, `${AGAIN}${step.name}`, ...argumentsOf(step, view))
    const again = ops.steps.at(-1)!
    const old = outputsOf(step)
    outputsOf(again).forEach(({ buffer }, index) => renewed.set(old[index]!.buffer, buffer))
    tape.follow(again)
  }
  for (const [from, to] of renewed) tape.move(from, to)
  return ops.steps.slice(first)
}

/** Returns the arguments of the method that recorded a step, with other inputs. */
function argumentsOf(step: Step, view: (x: Tensor) => Tensor): unknown[] {
  const { inputs, weights = {}, params = [] } = descriptionOf(step)
  const axes = { ...inputs, ...weights } as Readonly<Record<string, string>>
  const given: Record<string, unknown> = { ...step.params }
  for (const [role, tensor] of Object.entries(step.inputs as Record<string, Tensor | undefined>))
    if (tensor) given[role] = view(tensor)
  for (const [role, weight] of Object.entries(step.weights as Record<string, { name: string }>))
    given[role] = weight.name
  const order = [...Object.keys(axes).filter((role) => !axes[role]!.endsWith('?')), ...params]
  const positional = order.map((role) => given[role])
  for (const role of order) delete given[role]
  return [...positional, given]
}
