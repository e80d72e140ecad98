import { type AnyStep, codeOf, descriptionOf } from '../../program/describe.ts'
import {
  type Buffer,
  columnsOf,
  frameStrideOf,
  rowsOf,
  type State,
  type Step,
  type StepOf,
  sizeOf,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { Build } from './builds.ts'

/** Bytes of a step in the table (STEP in build/operations.ts). */
export const STEP = 128

/** Where things lie in linear memory; states relative to the stream's own memory. */
export interface Addresses {
  buffer(buffer: Buffer): number
  weight(weight: Weight): number
  state(state: State): number
}

/**
 * Numbers of a lane of 32 bits in integer products (GROUP in assembly/lib/quantize.ts).
 */
const groupOf = (build: Build): number => (build.includes('relaxed') ? 4 : 2)

/** Lanes of a row of `columns` integers. */
const lanesOf = (columns: number, build: Build): number => Math.ceil(columns / groupOf(build))

/** Where a product finds its quantised rows and their factors. */
export interface Quantized {
  readonly at: number
  readonly factors: number
}

/**
 * Bytes of the quantised rows of a product, and of their factors; none if it is one of
 * float32.
 */
export function quantizedBytes(step: Step, build: Build): { rows: number; factors: number } {
  if (!isInt8(step)) return { rows: 0, factors: 0 }
  const { x } = step.inputs
  return { rows: 4 * rowsOf(x) * lanesOf(columnsOf(x), build), factors: 8 * rowsOf(x) }
}

/** An integer product. A step before it quantises its rows. */
export function isInt8(step: Step): step is StepOf<'linear'> {
  return step.op === 'linear' && step.weights.scales !== undefined
}

/**
 * Writes the step before an integer product, which quantises its rows (assembly/lib/quantize.ts).
 */
export function encodeQuantize(
  { inputs: { x }, sizes }: StepOf<'linear'>,
  to: DataView,
  at: Addresses,
  { at: out, factors }: Quantized,
): void {
  const view = viewOf(x, at)
  put(to, [codeOf('quantize'), rowsOf(x), out, factors, ...view, sizes['frameRows'], columnsOf(x)])
}

/** Bytes of working memory that each thread wants for a step, beside its tensors. */
export function scratchOf(step: Step): number {
  return descriptionOf(step).cpu?.scratch?.(step.sizes) ?? 0
}

const pointerOf = (tensor: Tensor, at: Addresses): number =>
  at.buffer(tensor.buffer) + tensor.offset * (tensor.buffer.dtype === 'u8' ? 1 : 4)

/** Address, stride of rows and stride of frames of an input. */
const viewOf = (tensor: Tensor | undefined, at: Addresses): number[] =>
  tensor ? [pointerOf(tensor, at), tensor.stride, frameStrideOf(tensor)] : [0, 0, 0]

function put(to: DataView, words: readonly (number | undefined)[]): void {
  words.forEach((value, slot) => to.setInt32(4 * slot, value ?? 0, true))
}

/**
 * Writes one step of the table: operation, units of work, and its arguments in the order of
 * program/ops/operation.ts.
 * @param quantized where an integer product finds its rows
 * @param threads that share the work
 */
export function encode(
  step: Step,
  to: DataView,
  at: Addresses,
  build: Build,
  quantized: Quantized,
  threads: number,
): void {
  const described = descriptionOf(step)
  const { fields, cpu = {} } = described
  const { outputs, inputs, weights, states, sizes } = step as AnyStep
  const units = cpu.units?.(sizes, { threads, wide: build.startsWith('wide') }) ?? sizes['rows']!
  const numbers = { ...sizes, ...(typeof units === 'number' ? { units } : units) }
  const views = Object.keys(described.inputs).map((role) => viewOf(inputs[role], at))
  if (isInt8(step)) {
    numbers['k'] = lanesOf(sizes['k']!, build)
    numbers['factors'] = quantized.factors
    numbers['scales'] = at.weight(step.weights.scales!)
    views[0] = [quantized.at, numbers['k'], sizes['frameRows']! * numbers['k']]
  }
  put(to, [
    codeOf(step.op),
    numbers['units'],
    ...Object.keys(described.outputs).flatMap((role) => viewOf(outputs[role], at).slice(0, 2)),
    ...views.flat(),
    ...Object.keys(described.weights ?? {}).map(
      (role) => weights[role] && at.weight(weights[role]),
    ),
    ...Object.values(states).map((state) => at.state(state)),
    ...[...fields, ...(cpu.pointers ?? []), ...(cpu.fields ?? [])].map((name) => numbers[name]),
  ])
}

/**
 * Bytes of a weight in linear memory; a matrix in panels of 8 columns, an integer one in
 * lanes of them, the rest row-major.
 */
export function weightBytes({ kind, blocks, rows, columns }: Weight, build: Build): number {
  if (kind === 'rows') return 4 * blocks * rows * columns
  return 4 * blocks * (kind === 'int8' ? lanesOf(rows, build) : rows) * Math.ceil(columns / 8) * 8
}

/** Bytes of a state, a multiple of 64. */
export function stateBytes(state: State): number {
  return Math.ceil((4 * sizeOf(state.shape)) / 64) * 64
}
