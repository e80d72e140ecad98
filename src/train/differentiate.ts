import { TrecvitError } from '../base/error.ts'
import { descriptionOf } from '../program/describe.ts'
import type { Op, Step, StepOf, Tensor, Weight } from '../program/program.ts'
import type { TrainingRecorder } from './recorder.ts'
import { repeat } from './repeat.ts'
import { rules } from './rules.ts'
import { Tape } from './tape.ts'

/** A tensor of the program and the gradient of the loss there, of the same shape. */
export interface Seed {
  readonly of: Tensor
  readonly gradient: Tensor
}

/** Options for the gradients. */
export interface DifferentiateOptions {
  /**
   * Gradient checkpointing. 'none' keeps every tensor that a gradient reads. 'layer' keeps the
   * input of each block of a layer, and computes the block again before its gradients: less
   * memory, one forward pass more.
   */
  readonly recompute?: 'none' | 'layer'
  /**
   * Whether the frames continue videos. The states before them are inputs then: constants, whose
   * gradients are not computed (truncated back-propagation through time).
   */
  readonly continues?: boolean
}

/** Path of a block: the steps of one block have names that begin with the same path. */
const BLOCK = /^\w+\/(residualblock|encoderblock)_\d+/

/**
 * Records the steps that compute the gradients of weights, after the steps so far. The program
 * processes clips from their first frame, or chunks of videos. Steps that do not lead from the
 * seeds to a trained weight have no gradient.
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
  { recompute = 'none', continues = false }: DifferentiateOptions = {},
): ReadonlyMap<string, Tensor> {
  const segments = segmentsOf(ops.steps, recompute === 'layer' ? BLOCK : undefined)
  const tape = new Tape(ops, isTrained, continues)
  for (const { of, gradient } of seeds) tape.add(of, () => gradient)
  for (const { steps, again } of segments.reverse()) {
    if (!steps.some((step) => tape.wants(step))) continue
    const used = again ? repeat(ops, tape, steps) : [...steps]
    for (const step of used.reverse()) if (tape.wants(step)) passGradients(tape, step)
  }
  return tape.weights
}

/** Passes the gradients of the output of a step to its inputs and weights. */
function passGradients(tape: Tape, step: Step): void {
  const rule = rules[step.op] as ((tape: Tape, step: StepOf<Op>, dy: Tensor) => void) | undefined
  if (!rule || !('out' in descriptionOf(step).outputs))
    throw new TrecvitError(`${step.op} "${step.name}" has no derivative`)
  rule(tape, step, tape.of((step.outputs as { out: Tensor }).out))
}

/** Steps in sequence, and whether they are computed again before their gradients. */
interface Segment {
  readonly path: string | undefined
  readonly steps: Step[]
  readonly again: boolean
}

/** Divides steps into blocks, which are computed again, and the steps between them. */
function segmentsOf(steps: readonly Step[], block: RegExp | undefined): Segment[] {
  const segments: Segment[] = []
  for (const step of steps) {
    const path = block?.exec(step.name)?.[0]
    const last = segments.at(-1)
    if (last && last.path === path) last.steps.push(step)
    else segments.push({ path, steps: [step], again: path !== undefined })
  }
  return segments
}
