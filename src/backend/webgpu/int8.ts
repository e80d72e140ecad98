/** What a GPU needs only for int8 matrices. It is imported on demand. */
import {
  columnsOf,
  frameStrideOf,
  type Program,
  rowsOf,
  type Step,
  type Tensor,
} from '../../program/program.ts'

/** A program with the steps that a GPU adds. */
export interface Lowered {
  readonly program: Program
  /** The step of the given program that each step belongs to. */
  readonly origins: readonly Step[]
}

/** Rows of a tensor, and the same rows as packed integers. */
interface Quantized {
  readonly rows: Tensor
  readonly packed: Tensor
}

/**
 * Adds a step before each product with an int8 kernel that quantises its rows (gpu/quantize.wgsl).
 * Products of the same rows, or of some of them, share it. A product then reads packed integers,
 * and its k counts groups of four.
 */
export function lower(program: Program): Lowered {
  const steps: Step[] = []
  const origins: Step[] = []
  const known: Quantized[] = []
  const add = (step: object, origin: Step) => {
    steps.push(step as Step)
    origins.push(origin)
  }
  for (const step of program.steps) {
    if (step.op !== 'linear' || !step.weights.scales) {
      add(step, step)
      continue
    }
    const { x } = step.inputs
    const { frameRows } = step.sizes
    const d = columnsOf(x)
    const rows = rowsOf(x)
    const k = Math.ceil(d / 4)
    let [packed] = known.flatMap((quantized) => viewOf(quantized, x) ?? [])
    if (!packed) {
      const stride = Math.ceil(k / 4) * 4 + 4
      const name = `${step.name}/int8`
      packed = {
        buffer: { name, dtype: 'f32', size: rows * stride },
        offset: 0,
        shape: [...x.shape.slice(0, -1), k],
        stride,
      }
      known.push({ rows: x, packed })
      const parts = { inputs: { x }, outputs: { out: packed }, weights: {}, states: {}, params: {} }
      add({ op: 'quantize', name, ...parts, sizes: { d, rows, frameRows, count: 0 } }, step)
    }
    add({ ...step, inputs: { ...step.inputs, x: packed }, sizes: { ...step.sizes, k } }, step)
  }
  return { program: { ...program, steps }, origins }
}

/** Returns the packed integers of x, if they are all of these, or some of those of a buffer. */
function viewOf({ rows, packed }: Quantized, x: Tensor): Tensor | undefined {
  if (JSON.stringify(x) === JSON.stringify(rows)) return packed
  const { buffer, offset, stride } = rows
  const steps = [x.offset, x.stride, frameStrideOf(x)].map((elements) => elements / stride)
  const areRows = steps.every(Number.isInteger) && columnsOf(x) === columnsOf(rows)
  const isWhole = offset === 0 && buffer.size === rowsOf(rows) * stride
  if (x.buffer !== buffer || !areRows || !isWhole) return undefined
  const [from, step, frame] = steps.map((count) => count * packed.stride)
  return {
    ...packed,
    offset: from!,
    shape: [...x.shape.slice(0, -1), columnsOf(packed)],
    stride: step!,
    ...(x.frameStride && { frameStride: frame! }),
  }
}

/** Packs int8 values [rows, width]: each number has four rows of a column, zero beyond the last. */
export function packed(values: Int8Array, width: number): Int32Array {
  const numbers = new Int32Array(Math.ceil(values.length / width / 4) * width)
  const bytes = new Int8Array(numbers.buffer)
  values.forEach((value, index) => {
    const row = Math.floor(index / width)
    bytes[4 * (Math.floor(row / 4) * width + (index % width)) + (row % 4)] = value
  })
  return numbers
}
