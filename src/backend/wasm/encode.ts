import {
  type Activation,
  type AverageKind,
  type Buffer,
  columnsOf,
  type Linear,
  type Op,
  rowsOf,
  type State,
  type Step,
  sizeOf,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { Build } from './builds.ts'

/** Bytes of a step in the table (STEP in assembly/index.ts). */
export const STEP = 128

/** Number of each operation in the table (Op in assembly/index.ts). */
const codes: Record<Op, number> = {
  patchify: 0,
  linear: 1,
  blockLinear: 2,
  conv1d: 3,
  rgLru: 4,
  rmsNorm: 5,
  layerNorm: 6,
  attention: 7,
  pool: 8,
  average: 9,
  softmax: 10,
}

/**
 * Number of the operation that has no name in a program: rows become whole numbers
 * (assembly/lib/quantize.ts).
 */
const QUANTIZE = 11

const activations: Record<Activation, number> = { none: 0, gelu: 1, tanh: 2 }

const averages: Record<AverageKind, number> = { all: 0, window: 1, halfLife: 2 }

/** Where things lie in linear memory; states relative to the stream's own memory. */
export interface Addresses {
  buffer(buffer: Buffer): number
  weight(weight: Weight): number
  state(state: State): number
}

/** Rows of the tallest tile of any build (TILE in assembly/lib/target.ts). */
const TILE = 6
/**
 * Rows of a block of a product, at most, 600 KB of x; half of that in the narrow builds, and where
 * threads share a frame and its matrix is not large.
 */
const BLOCK_ROWS = 200
/** Weights of a matrix that reach the wide builds too slowly to pass by twice: 4 MB. */
const LARGE = 1 << 20
/** Columns of x that a product uses at a time, at most (BLOCK_K in assembly/linear.ts). */
const BLOCK_K = 768

/**
 * Numbers of a lane of 32 bits in products of whole numbers (GROUP in assembly/lib/quantize.ts).
 */
const groupOf = (build: Build): number => (build.includes('relaxed') ? 4 : 2)

/** Lanes of a row of `columns` whole numbers. */
const lanesOf = (columns: number, build: Build): number => Math.ceil(columns / groupOf(build))

/** Where a product finds its rows as whole numbers, and their factors. */
export interface Quantized {
  readonly at: number
  readonly factors: number
}

/**
 * Bytes of the rows of a product as whole numbers, and of their factors; none if it is one of
 * float32.
 */
export function quantizedBytes(step: Step, build: Build): { rows: number; factors: number } {
  if (step.op !== 'linear' || !step.weights.scales) return { rows: 0, factors: 0 }
  const { x } = step.inputs
  return { rows: 4 * rowsOf(x) * lanesOf(columnsOf(x), build), factors: 8 * rowsOf(x) }
}

/** Writes the step before a product of whole numbers, which makes them. */
export function encodeQuantize(
  { inputs: { x } }: Linear,
  to: DataView,
  at: Addresses,
  { at: out, factors }: Quantized,
): void {
  put(to, QUANTIZE, rowsOf(x), [out, factors, pointerOf(x, at), x.stride, columnsOf(x)])
}

/** Bytes of working memory that each thread wants for a step, beside its tensors. */
export function scratchOf(step: Step): number {
  if (step.op === 'linear') {
    const { rows, columns } = step.weights.kernel
    return (BLOCK_ROWS + TILE) * 32 * (rows > BLOCK_K ? Math.max(2, Math.ceil(columns / 8)) : 2)
  }
  if (step.op === 'blockLinear') return TILE * 32
  if (step.op === 'rgLru') return (8 * columnsOf(step.output)) / step.params.heads
  if (step.op !== 'attention') return 0
  const n = step.inputs.k.shape[2]!
  const r = columnsOf(step.inputs.q) / step.params.heads
  const keyPanels = Math.ceil(n / 8)
  const valuePanels = Math.ceil(r / 8)
  return 32 * (keyPanels * r + valuePanels * n) + TILE * 32 * (keyPanels + valuePanels)
}

const pointerOf = (tensor: Tensor, at: Addresses): number =>
  at.buffer(tensor.buffer) + tensor.offset * (tensor.buffer.dtype === 'u8' ? 1 : 4)

function put(to: DataView, code: number, units: number, args: readonly number[]): void {
  ;[code, units, ...args].forEach((value, slot) => to.setInt32(4 * slot, value, true))
}

/**
 * Writes one step of the table: operation, units of work, arguments in the order of the class in
 * assembly/<op>.ts.
 * @param quantized where a product of whole numbers finds its rows
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
  const pointer = (tensor: Tensor) => pointerOf(tensor, at)
  const view = (tensor: Tensor | undefined) => (tensor ? [pointer(tensor), tensor.stride] : [0, 0])
  const weight = (found: Weight | undefined) => (found ? at.weight(found) : 0)
  const puts = (units: number, args: readonly number[]) => put(to, codes[step.op], units, args)
  const rows = rowsOf(step.output)
  const [b = 1, t = 1, n = 1, d = 1] = step.output.shape
  // The rows of one frame are halved, so that a thread finds in its cache what it has written; of
  // several frames, each has its own.
  const shares = threads > 1 && b * t < threads && n > 2 * TILE ? 2 : 1

  switch (step.op) {
    case 'patchify': {
      const { pixels } = step.inputs
      const [py, px] = step.params.patchSize
      const gridRows = pixels.shape[2]! / py
      return puts(b * t * gridRows, [
        ...view(step.output),
        pointer(pixels),
        Number(pixels.buffer.dtype === 'u8'),
        step.params.lead,
        gridRows,
        pixels.shape[3]! / px,
        py,
        px,
      ])
    }
    case 'linear': {
      const { x, multiply, add } = step.inputs
      const { kernel, scales, bias, table } = step.weights
      const { activation, activated } = step.params
      const tall =
        build.startsWith('wide') && (shares === 1 || kernel.rows * kernel.columns > LARGE)
      const blocks = Math.ceil(rows / (tall ? BLOCK_ROWS : BLOCK_ROWS / 2))
      return puts(blocks * Math.ceil(kernel.columns / 8), [
        ...view(step.output),
        ...(scales ? [quantized.at, lanesOf(kernel.rows, build)] : view(x)),
        ...view(multiply),
        ...view(add),
        weight(kernel),
        weight(bias),
        weight(table),
        table?.rows ?? 1,
        rows,
        scales ? lanesOf(kernel.rows, build) : kernel.rows,
        kernel.columns,
        activations[activation],
        activated,
        scales ? quantized.factors : 0,
        weight(scales),
        blocks,
      ])
    }
    case 'blockLinear': {
      const { kernel, bias } = step.weights
      const units = kernel.blocks * Math.ceil(kernel.columns / 8)
      return puts(shares * units, [
        ...view(step.output),
        ...view(step.inputs.x),
        weight(kernel),
        weight(bias),
        rows,
        kernel.rows,
        kernel.columns,
        units,
        shares,
      ])
    }
    case 'conv1d': {
      const { kernel, bias } = step.weights
      return puts(b * n, [
        ...view(step.output),
        ...view(step.inputs.x),
        weight(kernel),
        weight(bias),
        at.state(step.states.past),
        t,
        n,
        d,
        kernel.rows,
      ])
    }
    case 'rgLru': {
      const { v, gates, y } = step.inputs
      return puts(b * n, [
        ...view(step.output),
        ...view(v),
        ...view(gates),
        ...view(y),
        weight(step.weights.decay),
        at.state(step.states.s),
        t,
        n,
        d,
        step.params.heads,
      ])
    }
    case 'rmsNorm':
      return puts(rows, [
        ...view(step.output),
        ...view(step.inputs.x),
        weight(step.weights.scale),
        columnsOf(step.output),
      ])
    case 'layerNorm':
      return puts(rows, [
        ...view(step.output),
        ...view(step.inputs.x),
        weight(step.weights.scale),
        weight(step.weights.bias),
        columnsOf(step.output),
      ])
    case 'attention': {
      const { q, k, v } = step.inputs
      const { heads } = step.params
      return puts(b * t * shares * heads, [
        ...view(step.output),
        ...view(q),
        ...view(k),
        ...view(v),
        n,
        k.shape[2]!,
        heads,
        d / heads,
        shares,
      ])
    }
    case 'pool':
      return puts(b * t, [...view(step.output), ...view(step.inputs.x), step.inputs.x.shape[2]!, d])
    case 'average': {
      const mode = averages[step.params.over]
      return puts(b, [
        ...view(step.output),
        ...view(step.inputs.x),
        at.state(step.states.past),
        mode,
        t,
        d,
      ])
    }
    case 'softmax':
      return puts(rows, [...view(step.output), ...view(step.inputs.x), columnsOf(step.output)])
  }
}

/**
 * Bytes of a weight in linear memory; a matrix in panels of 8 columns, one of whole numbers in
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
