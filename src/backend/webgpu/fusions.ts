/**
 * Fewer, larger steps for chunks of one frame, which take a GPU less time than launching their
 * kernels. It is imported on demand.
 */
import shaders from '../../../build/fused/shaders.txt'
import * as operations from '../../program/ops/fused.ts'
import { aligned } from '../../program/ops/launch.ts'
import { linear } from '../../program/ops/products.ts'
import {
  type Buffer,
  columnsOf,
  inputsOf,
  outputsOf,
  type Program,
  rowsOf,
  type Step,
  type StepOf,
  type Tensor,
} from '../../program/program.ts'
import type { GpuCapabilities } from '../backend.ts'
import type { Lowered } from './int8.ts'

export { operations, shaders }

/** Storage buffers of gpu/fused/recurrence.wgsl, and the largest number of channels of a head. */
const RECURRENCE_BUFFERS = 10
const HEAD_CHANNELS = 128
/** Elements that rows with moments are a multiple of: a cache line. */
const LINE = 32

/** A program in the steps of a GPU: each is a dispatch. */
export interface Fused extends Lowered {
  /** Whether no steps are fused. */
  readonly isPlain: boolean
}

/**
 * Returns the steps of a GPU.
 * @param int8 set if there are int8 matrices
 * @param capabilities of the device; undefined to fuse no steps
 * @param hasMatrices whether matrix units compute products, which then read normalised rows
 */
export function lower(
  program: Program,
  int8?: { lower(program: Program): Lowered },
  capabilities?: Pick<GpuCapabilities, 'limits'>,
  hasMatrices = false,
): Fused {
  const fused = capabilities
    ? fuseRecurrences(hasMatrices ? program : fuseNorms(program), capabilities)
    : program
  const lowered = int8?.lower(fused) ?? { program: fused, origins: fused.steps }
  return { ...lowered, isPlain: fused === program }
}

/** Steps in order, and the step that computes the output of the last one. */
interface Fusion {
  readonly parts: readonly Step[]
  readonly fused: Step
}

/**
 * Replaces conv1d, gates and rgLru of one frame. With more frames kernels are larger and launches
 * cost less, so longer chunks keep their steps. Tensors that another step reads, or the caller,
 * stay.
 * @returns the same program if nothing is fused
 */
function fuseRecurrences(program: Program, { limits }: Pick<GpuCapabilities, 'limits'>): Program {
  if (program.t > 1 || limits.maxStorageBuffersPerShaderStage < RECURRENCE_BUFFERS) return program
  const found = program.steps.flatMap((step) => recurrenceOf(program, step) ?? [])
  if (!found.length) return program
  const dropped = new Set(found.flatMap(({ parts }) => parts))
  return {
    ...program,
    steps: program.steps.flatMap(
      (step) =>
        found.find(({ parts }) => parts.at(-1) === step)?.fused ?? (dropped.has(step) ? [] : step),
    ),
  }
}

/** Returns the fusion of conv1d, the gates and rgLru, if the step is such an rgLru. */
function recurrenceOf(program: Program, step: Step): Fusion | undefined {
  if (step.op !== 'rgLru') return undefined
  const { v, gates, y } = step.inputs
  const conv = writerOf(program, v.buffer, 'conv1d')
  const product = writerOf(program, gates.buffer, 'blockLinear')
  if (!conv || !product) return undefined
  const z = conv.inputs.x
  const { out } = step.outputs
  const { n, e, heads } = step.sizes as { n: number; e: number; heads: number }
  const { k: width, blocks, n: columns } = product.sizes
  const parts = [conv, product, step]
  const isChain =
    v === conv.outputs.out &&
    v === product.inputs.x &&
    gates === product.outputs.out &&
    isOnlyFor(program, v.buffer, parts) &&
    isOnlyFor(program, gates.buffer, parts)
  const fits = blocks === heads && columns === 2 * width! && width! <= HEAD_CHANNELS
  const isOneView =
    y.buffer === z.buffer && y.stride === z.stride && !y.frameStride && !z.frameStride
  if (!isChain || !fits || !isOneView || !aligned([z, y, out], [width!])) return undefined
  const { kernel: taps, bias } = conv.weights
  const { kernel, bias: kernelBias } = product.weights
  const rows = rowsOf(out)
  const fused = {
    op: 'recurrence',
    name: step.name,
    inputs: { z },
    outputs: { out },
    weights: { taps, bias, kernel, kernelBias, decay: step.weights.decay },
    states: { ...conv.states, ...step.states },
    params: {},
    sizes: { count: 0, rows, n, e, k: conv.sizes['k'], heads, yOffset: y.offset },
  }
  return { parts, fused: fused as unknown as Step }
}

/** Columns that linear stores moments of: those of a tile. */
const MOMENT_COLUMNS = 32

/** A norm between the product that writes its rows and those that read its result. */
interface Norm {
  readonly norm: StepOf<'rmsNorm' | 'layerNorm'>
  readonly writer: StepOf<'linear'>
  readonly readers: readonly StepOf<'linear'>[]
}

/**
 * Replaces each norm, and the products that read it, by products that normalise (normLinear). The
 * product before it stores the moments of its rows behind them, so these rows become longer.
 * @returns the same program if nothing is fused
 */
function fuseNorms(program: Program): Program {
  const found = program.steps.flatMap((step) => normOf(program, step) ?? [])
  if (!found.length) return program
  const longer = new Map(found.map(({ writer }) => withMoments(writer.outputs.out)))
  const view = (tensor: Tensor): Tensor => longer.get(tensor.buffer)?.(tensor) ?? tensor
  const views = <T extends object>(tensors: T): T =>
    Object.fromEntries(
      Object.entries(tensors).map(([role, tensor]) => [role, tensor && view(tensor as Tensor)]),
    ) as T
  const steps = program.steps.flatMap((step): Step | Step[] => {
    if (found.some(({ norm }) => norm === step)) return []
    const viewed = { ...step, inputs: views(step.inputs), outputs: views(step.outputs) } as Step
    const read = found.find(({ readers }) => readers.includes(step as StepOf<'linear'>))
    if (read) {
      // Rows of the norm's result are where those of x are: both are whole tensors of one shape.
      const { buffer } = read.norm.inputs.x
      const x = view({ ...(step as StepOf<'linear'>).inputs.x, buffer })
      return normLinearOf(read.norm, viewed as StepOf<'linear'>, x)
    }
    const isWriter = found.some(({ writer }) => writer === step)
    return isWriter ? ({ ...viewed, sizes: { ...step.sizes, moments: 1 } } as Step) : viewed
  })
  return { ...program, steps, outputs: views(program.outputs) }
}

/** Returns the norm of a step, if it is one that can be fused. */
function normOf(program: Program, norm: Step): Norm | undefined {
  if (norm.op !== 'rmsNorm' && norm.op !== 'layerNorm') return undefined
  const { x } = norm.inputs
  const { out } = norm.outputs
  const writer = writerOf(program, x.buffer, 'linear')
  const readers = program.steps.filter((step) =>
    inputsOf(step).some(({ buffer }) => buffer === out.buffer),
  )
  const isFused =
    writer?.outputs.out === x &&
    x.stride === out.stride &&
    isTile(writer) &&
    columnsOf(x) % MOMENT_COLUMNS === 0 &&
    isOnlyFor(program, out.buffer, readers) &&
    readers.every((step) => step.op === 'linear' && canNormalise(step, out))
  return isFused ? { norm, writer, readers: readers as StepOf<'linear'>[] } : undefined
}

/** Whether a product of floats runs as tiles. */
function isTile({ weights, sizes }: StepOf<'linear'>): boolean {
  return !weights.scales && linear.gpu!.entry!(sizes) === 'main'
}

/** Returns the product that normalises, in place of a norm of x and a product. */
function normLinearOf(norm: Norm['norm'], step: StepOf<'linear'>, x: Tensor): Step {
  const { kernel, bias } = step.weights
  const { scale, bias: shift } = norm.weights as StepOf<'layerNorm'>['weights']
  return {
    ...step,
    op: 'normLinear',
    inputs: { x },
    weights: { kernel, bias, scale, shift },
    sizes: { ...step.sizes, centred: +(norm.op === 'layerNorm') },
  } as unknown as Step
}

/** Returns the buffer of a tensor, and a function of its views in rows that moments follow. */
function withMoments({ buffer, stride, shape }: Tensor): [Buffer, (view: Tensor) => Tensor] {
  const columns = shape.at(-1)!
  const longer = LINE * Math.ceil((columns + (2 * columns) / MOMENT_COLUMNS) / LINE)
  const resized = { ...buffer, size: (buffer.size / stride) * longer }
  return [
    buffer,
    (view) => ({
      ...view,
      buffer: resized,
      offset: Math.floor(view.offset / stride) * longer + (view.offset % stride),
      stride: (view.stride / stride) * longer,
      ...(view.frameStride && { frameStride: (view.frameStride / stride) * longer }),
    }),
  ]
}

/** Whether a product can read rows that it normalises instead of these. */
function canNormalise(step: StepOf<'linear'>, normalised: Tensor): boolean {
  const { inputs, outputs, weights } = step
  const { x, multiply, add } = inputs
  return (
    isTile(step) &&
    x.buffer === normalised.buffer &&
    columnsOf(x) === columnsOf(normalised) &&
    !multiply &&
    !add &&
    !weights.table &&
    aligned([outputs.out], [step.sizes['n']!])
  )
}

/** Returns the only step that writes to a buffer, if it is one of this operation. */
function writerOf<O extends Step['op']>(
  { steps }: Program,
  buffer: Buffer,
  op: O,
): StepOf<O> | undefined {
  const [step, another] = steps.filter((step) =>
    outputsOf(step).some((output) => output.buffer === buffer),
  )
  return step?.op === op && !another ? (step as StepOf<O>) : undefined
}

/** Whether only these steps read a buffer. */
function isOnlyFor({ steps, outputs }: Program, buffer: Buffer, readers: readonly Step[]): boolean {
  return (
    !Object.values(outputs).some((output) => output.buffer === buffer) &&
    steps.every(
      (step) => readers.includes(step) || !inputsOf(step).some((input) => input.buffer === buffer),
    )
  )
}
