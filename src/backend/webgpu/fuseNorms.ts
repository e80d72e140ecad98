/** Folds norms into the products that read them. */
import { aligned } from '../../program/ops/launch.ts'
import { linear } from '../../program/ops/products.ts'
import {
  type Buffer,
  columnsOf,
  inputsOf,
  type Program,
  type Step,
  type StepOf,
  type Tensor,
} from '../../program/program.ts'
import { isOnlyFor, writerOf } from './uses.ts'

/** Elements that rows with moments are a multiple of: a cache line. */
const LINE = 32
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
export function fuseNorms(program: Program): Program {
  const found: Norm[] = []
  for (const step of program.steps) {
    const norm = normOf(program, step)
    // A product that normalises stores no moments.
    const isRead = norm && found.some(({ readers }) => readers.includes(norm.writer))
    if (norm && !isRead) found.push(norm)
  }
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
