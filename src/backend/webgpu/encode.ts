import { type AnyStep, descriptionOf, type KernelOp } from '../../program/describe.ts'
import { spread } from '../../program/ops/launch.ts'
import {
  frameStrideOf,
  type State,
  type Step,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'

/** Parts of a shader that replace others, by name. */
export interface MatrixParts {
  /** Directives and constants, the first lines of the shader. They tell the variants apart. */
  readonly head: string
  readonly parts: Readonly<Record<string, string>>
}

/** One step as a compute dispatch. */
export interface Call {
  /** The file of the kernel, gpu/<op>.wgsl. */
  readonly op: KernelOp
  /** Number format of its matrix; f32 if the step has none. */
  readonly dtype: MatrixDType
  /** Entry point of the kernel. */
  readonly entry: 'main' | 'few'
  /**
   * `override` constants of the kernel. They select code. Sizes are parameters instead, so that a
   * few pipelines serve all layers and models.
   */
  readonly constants: Readonly<Record<string, number>>
  /** Fields of the kernel's struct Params, each a 32-bit word. */
  readonly params: readonly number[]
  /**
   * Bindings after the parameters: outputs, inputs, weights, in the order of the file. Optional
   * ones that the step does not have are undefined.
   */
  readonly bindings: readonly (Tensor | Weight | undefined)[]
  /** Those of the bindings that the kernel writes. */
  readonly written: readonly (Tensor | Weight | undefined)[]
  /** The states that the step reads and writes. */
  readonly states: readonly State[]
  /** Number of workgroups in x, y and z. */
  readonly groups: readonly [number, number, number]
  /** Set if matrix units compute it. */
  readonly matrix?: MatrixParts
}

/**
 * Returns the dispatch of a step.
 * @param step a step of a lowered program
 * @param dtype number format of the matrices that are not int8
 * @param room bytes of workgroup memory of the device
 */
export function encode(step: Step, dtype: MatrixDType, room: number): Call {
  const described = descriptionOf(step)
  const { fields, gpu = {}, writes = [] } = described
  const { outputs, inputs, weights, states, sizes } = step as AnyStep
  const results = Object.keys(described.outputs).map((role) => outputs[role]!)
  const tensors = Object.keys(described.inputs).map((role) => inputs[role])
  const constants = Object.entries(gpu.constants?.(step as AnyStep, room) ?? {})
  return {
    op: step.op,
    entry: gpu.entry?.(sizes) ?? 'main',
    groups: gpu.groups?.(sizes) ?? spread(sizes['count']! / 64),
    params: [
      ...['count', ...fields, ...(gpu.fields ?? [])].map((name) => sizes[name]!),
      ...results.flatMap(({ offset, stride }) => [offset, stride]),
      ...tensors.flatMap((tensor) =>
        tensor ? [tensor.offset, tensor.stride, frameStrideOf(tensor)] : [0, 0, 0],
      ),
    ],
    bindings: [
      ...results,
      ...tensors,
      ...Object.keys(described.weights ?? {}).map((role) => weights[role]),
    ],
    written: [...results, ...writes.map((role) => weights[role])],
    states: Object.values(states),
    dtype: weights['scales']
      ? 'int8'
      : dtype === 'f16' && Object.values(weights).some(({ kind }) => kind === 'matrix')
        ? 'f16'
        : 'f32',
    constants: Object.fromEntries(constants.map(([name, value]) => [name, Number(value)])),
  }
}
