/** Fuses norms with the steps that quantise their rows, which products with int8 kernels read. */
import type { KernelOp } from '../../program/describe.ts'
import {
  columnsOf,
  inputsOf,
  type Program,
  rowsOf,
  type Step,
  type StepOf,
} from '../../program/program.ts'
import type { Lowered } from './int8.ts'
import { isOnlyFor, writerOf } from './uses.ts'

type Norm = StepOf<'rmsNorm'> | StepOf<'layerNorm'>

/**
 * Replaces each norm whose rows are only quantised, and the step that quantises them, by one step
 * (normQuantize).
 * @returns the same steps if nothing is fused
 */
export function fuseQuantize(lowered: Lowered): Lowered {
  const { program, origins } = lowered
  const norms = new Map<Step, Norm>()
  for (const step of program.steps) {
    const norm = normOf(program, step)
    if (norm) norms.set(step, norm)
  }
  if (!norms.size) return lowered
  const replaced = new Set<Step>(norms.values())
  const steps: Step[] = []
  const kept: Step[] = []
  program.steps.forEach((step, index) => {
    if (replaced.has(step)) return
    const norm = norms.get(step)
    const fused = norm && normQuantizeOf(norm, step)
    steps.push(fused ?? step)
    kept.push(fused ?? origins[index]!)
  })
  return { program: { ...program, steps }, origins: kept }
}

/** Returns the norm whose rows a step quantises, if nothing else reads them. */
function normOf(program: Program, step: Step): Norm | undefined {
  if ((step.op as KernelOp) !== 'quantize') return undefined
  const x = inputsOf(step)[0]!
  const norm = writerOf(program, x.buffer, 'rmsNorm') ?? writerOf(program, x.buffer, 'layerNorm')
  if (!norm || !isOnlyFor(program, x.buffer, [step])) return undefined
  const { out } = norm.outputs
  return rowsOf(x) === rowsOf(out) && columnsOf(x) === columnsOf(out) ? norm : undefined
}

/** Returns the step that normalises rows and quantises them. */
function normQuantizeOf(norm: Norm, { outputs }: Step): Step {
  const { scale, bias: shift } = norm.weights as StepOf<'layerNorm'>['weights']
  return {
    ...norm,
    op: 'normQuantize',
    outputs,
    weights: { scale, shift },
    sizes: { ...norm.sizes, centred: +(norm.op === 'layerNorm') },
  } as unknown as Step
}
