/**
 * Fewer, larger steps for chunks of one frame, which take a GPU less time than launching their
 * kernels. It is imported on demand.
 */
import shaders from '../../../build/fused/shaders.txt'
import * as operations from '../../program/ops/fused.ts'
import { aligned } from '../../program/ops/launch.ts'
import { type Program, rowsOf, type Step } from '../../program/program.ts'
import type { GpuCapabilities } from '../backend.ts'
import { fuseNorms } from './fuseNorms.ts'
import { fuseQuantize } from './fuseQuantize.ts'
import type { Lowered } from './int8.ts'
import { isOnlyFor, writerOf } from './uses.ts'

export { operations, shaders }

/** Storage buffers of gpu/fused/recurrence.wgsl, and the largest number of channels of a head. */
const RECURRENCE_BUFFERS = 10
const HEAD_CHANNELS = 128

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
  const quantized = capabilities ? fuseQuantize(lowered) : lowered
  return { ...quantized, isPlain: fused === program && quantized === lowered }
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
  const { kernel, bias: kernelBias, scales } = product.weights
  const { decay } = step.weights
  const rows = rowsOf(out)
  const fused = {
    op: 'recurrence',
    name: step.name,
    inputs: { z },
    outputs: { out },
    weights: { taps, bias, kernel, kernelBias, decay, ...(scales && { scales }) },
    states: { ...conv.states, ...step.states },
    params: {},
    sizes: { count: 0, rows, n, e, k: conv.sizes['k'], heads, yOffset: y.offset },
  }
  return { parts, fused: fused as unknown as Step }
}
