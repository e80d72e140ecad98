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
 * Adds a step before each product with an int8 kernel that quantises its rows (gpu/quantize.wgsl),
 * each block of a row as one. Products of the same rows, or of some of them, share it. A product
 * then reads packed integers, and its k counts groups of four.
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
    const isProduct = step.op === 'linear' || step.op === 'blockLinear'
    if (!isProduct || !step.weights.scales) {
      add(step, step)
      continue
    }
    const { blocks, frameRows } = step.sizes as { blocks: number; frameRows: number }
    const x = blocksOf(step.inputs.x, blocks)
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
      const sizes = { d, rows, frameRows: blocks > 1 ? blocks : frameRows, count: 0 }
      add({ op: 'quantize', name, ...parts, sizes }, step)
    }
    const read = blocks > 1 ? withBlocks(packed, step.inputs.x) : packed
    add({ ...step, inputs: { ...step.inputs, x: read }, sizes: { ...step.sizes, k } }, step)
  }
  return { program: { ...program, steps }, origins }
}

/** Returns the blocks of columns of x as rows of their own, [1, rows, blocks, k]. */
function blocksOf(x: Tensor, blocks: number): Tensor {
  if (blocks === 1) return x
  const k = columnsOf(x) / blocks
  return { ...x, shape: [1, rowsOf(x), blocks, k], stride: k, frameStride: x.stride }
}

/** Returns the rows of x as packed integers, from their blocks. */
function withBlocks(packed: Tensor, { shape }: Tensor): Tensor {
  const { buffer, offset } = packed
  return { buffer, offset, shape, stride: frameStrideOf(packed) }
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
