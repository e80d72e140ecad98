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

/** Bytes of a table entry (STEP in build/operations.ts). */
export const STEP = 128

/** Addresses in linear memory; those of states are offsets in the memory of a stream. */
export interface Addresses {
  buffer(buffer: Buffer): number
  weight(weight: Weight): number
  state(state: State): number
}

/**
 * Integers in a 32-bit lane of an integer product (GROUP in assembly/lib/quantize.ts).
 */
const groupOf = (build: Build): number => (build.includes('relaxed') ? 4 : 2)

/** Lanes of a row of `columns` integers. A partly filled lane counts as one. */
const lanesOf = (columns: number, build: Build): number => Math.ceil(columns / groupOf(build))

/** Addresses of the quantised rows of an integer product and of their scale factors. */
export interface Quantized {
  readonly at: number
  readonly factors: number
}

type Product = StepOf<'linear'> | StepOf<'blockLinear'>

/**
 * Returns the bytes of the quantised rows of a product and of their scale factors. Both are 0 for a
 * float32 product.
 */
export function quantizedBytes(step: Step, build: Build): { rows: number; factors: number } {
  if (!isInt8(step)) return { rows: 0, factors: 0 }
  const x = quantizedBy(step)
  return { rows: 4 * rowsOf(x) * lanesOf(columnsOf(x), build), factors: 8 * rowsOf(x) }
}

/** Whether a step is an integer product. The table has a step before it that quantises its rows. */
export function isInt8(step: Step): step is Product {
  return 'scales' in step.weights
}

/**
 * Returns the rows that an integer product quantises: those of x, or of its first block of columns,
 * then of the second, and so on.
 */
function quantizedBy({ inputs: { x }, sizes }: Product): Tensor {
  const { blocks, k, rows } = sizes as { blocks: number; k: number; rows: number }
  return blocks > 1 ? { ...x, shape: [1, blocks, rows, k], frameStride: k } : x
}

/**
 * Writes the table entry that quantises the rows of an integer product (assembly/lib/quantize.ts).
 */
export function encodeQuantize(
  step: Product,
  to: DataView,
  at: Addresses,
  { at: out, factors }: Quantized,
): void {
  const x = quantizedBy(step)
  const { frameRows } = step.sizes
  put(to, [codeOf('quantize'), rowsOf(x), out, factors, ...viewOf(x, at), frameRows, columnsOf(x)])
}

/** Bytes of working memory that each thread needs for a step, in addition to its tensors. */
export function scratchOf(step: Step): number {
  return descriptionOf(step).cpu?.scratch?.(step.sizes) ?? 0
}

const pointerOf = (tensor: Tensor, at: Addresses): number =>
  at.buffer(tensor.buffer) + tensor.offset * (tensor.buffer.dtype === 'u8' ? 1 : 4)

/** Address, row stride and frame stride of an input. */
const viewOf = (tensor: Tensor | undefined, at: Addresses): number[] =>
  tensor ? [pointerOf(tensor, at), tensor.stride, frameStrideOf(tensor)] : [0, 0, 0]

function put(to: DataView, words: readonly (number | undefined)[]): void {
  words.forEach((value, slot) => to.setInt32(4 * slot, value ?? 0, true))
}

/**
 * Writes one entry of the table: operation, units of work, and the arguments in the order of
 * program/ops/operation.ts.
 * @param quantized the rows of an integer product
 * @param threads number of threads that share the work
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
 * Bytes of a weight in linear memory. A matrix is stored in panels of 8 columns, an int8 matrix in
 * panels of 8 columns of lanes. Other weights are row-major.
 */
export function weightBytes({ kind, blocks, rows, columns }: Weight, build: Build): number {
  if (kind === 'rows') return 4 * blocks * rows * columns
  return 4 * blocks * (kind === 'int8' ? lanesOf(rows, build) : rows) * Math.ceil(columns / 8) * 8
}

/** Bytes of a state, a multiple of 64. */
export function stateBytes(state: State): number {
  return Math.ceil((4 * sizeOf(state.shape)) / 64) * 64
}
