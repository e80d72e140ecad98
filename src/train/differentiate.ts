import { TrecvitError } from '../base/error.ts'
import { descriptionOf } from '../program/describe.ts'
import type { Op, StepOf, Tensor, Weight } from '../program/program.ts'
import type { TrainingRecorder } from './recorder.ts'
import { rules } from './rules.ts'
import { Tape } from './tape.ts'

/** A tensor of the program and the gradient of the loss there, of the same shape. */
export interface Seed {
  readonly of: Tensor
  readonly gradient: Tensor
}

/**
 * Records the steps that compute the gradients of weights, after the steps so far. The program
 * processes whole clips, each from its first frame. Steps that do not lead from the seeds to a
 * trained weight have no gradient.
 * @param isTrained whether the gradient of a weight is wanted
 * @returns the gradients by the name of the weight, each [blocks·rows, columns]. A weight that the
 * seeds do not depend on has none.
 * @throws TrecvitError if an operation, or the part of a tensor that a step reads, has no
 * derivative
 * @example
 * const { dlogits } = ops.crossEntropy('loss', logits, targets)
 * const gradients = differentiate(ops, [{ of: logits, gradient: dlogits }], () => true)
 */
export function differentiate(
  ops: TrainingRecorder,
  seeds: readonly Seed[],
  isTrained: (weight: Weight) => boolean,
): ReadonlyMap<string, Tensor> {
  const steps = [...ops.steps]
  const tape = new Tape(ops, isTrained)
  for (const { of, gradient } of seeds) tape.add(of, () => gradient)
  for (const step of steps.reverse()) {
    if (!tape.wants(step)) continue
    const rule = rules[step.op] as ((tape: Tape, step: StepOf<Op>, dy: Tensor) => void) | undefined
    if (!rule || !('out' in descriptionOf(step).outputs))
      throw new TrecvitError(`${step.op} "${step.name}" has no derivative`)
    rule(tape, step, tape.of((step.outputs as { out: Tensor }).out))
  }
  return tape.weights
}
