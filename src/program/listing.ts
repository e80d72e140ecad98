import { descriptionOf } from './describe.ts'
import { bytesOf, plan } from './plan.ts'
import {
  inputsOf,
  outputsOf,
  type Program,
  type Step,
  sizeOf,
  statesOf,
  type Tensor,
  weightsOf,
} from './program.ts'

/**
 * Returns the floating-point operations of a step. A multiply and an add count as two. Element-wise
 * work is not counted.
 */
export function flopsOf(step: Step): number {
  return descriptionOf(step).flops?.(step.sizes) ?? 0
}

/**
 * Formats a program as text: one line per step with operation, name, shapes and work, then its
 * memory use.
 * @example
 * console.log(listing(model.program()))
 */
export function listing(program: Program): string {
  const lines = program.steps.map((step, index) => {
    const shapes = (tensors: readonly Tensor[]) =>
      tensors.map(({ shape }) => `[${shape}]`).join(' ')
    const flops = flopsOf(step)
    return [
      String(index).padStart(4),
      step.op.padEnd(11),
      step.name,
      `${shapes(inputsOf(step))} → ${shapes(outputsOf(step))}`,
      flops ? `${(flops / 1e6).toFixed(1)} MFLOP` : '',
    ]
      .join('  ')
      .trimEnd()
  })
  const mega = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`
  const { bytes, offsets } = plan(program)
  const apart = [...offsets.keys()].reduce((sum, buffer) => sum + bytesOf(buffer), 0)
  const weights = new Set(program.steps.flatMap(weightsOf))
  const weightBytes = [...weights].reduce(
    (sum, weight) => sum + 4 * weight.blocks * weight.rows * weight.columns,
    0,
  )
  const stateBytes = program.steps
    .flatMap(statesOf)
    .reduce((sum, state) => sum + 4 * sizeOf(state.shape), 0)
  const flops = program.steps.reduce((sum, step) => sum + flopsOf(step), 0)
  return [
    ...lines,
    `${program.steps.length} steps, ${(flops / 1e9).toFixed(3)} GFLOP for ` +
      `${program.b}×${program.t} frames; ` +
      `weights ${mega(weightBytes)}, activations ${mega(bytes)} (${mega(apart)} without ` +
      `reuse), state ${mega(stateBytes)}`,
  ].join('\n')
}
