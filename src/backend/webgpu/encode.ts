import {
  type Activation,
  type AverageKind,
  columnsOf,
  type Op,
  rowsOf,
  type State,
  type Step,
  statesOf,
  type Tensor,
  type Weight,
} from '../../program/program.ts'
import type { MatrixDType } from '../backend.ts'

/** One step in the form that the GPU gets it. */
export interface Call {
  /** The file of the kernel, gpu/<op>.wgsl. */
  readonly op: Op
  /** Number format of the matrices, f32 where it has none. */
  readonly dtype: MatrixDType
  /** Its entry point. */
  readonly entry: 'main' | 'few'
  /**
   * Its `override` constants. They choose code; sizes are parameters, so that few pipelines serve
   * all layers and models.
   */
  readonly constants: Readonly<Record<string, number>>
  /** Its struct Params, each field a 32-bit word. */
  readonly params: readonly number[]
  /**
   * What is bound after the parameters: output, inputs, weights, in the order of the file;
   * undefined where the step has none.
   */
  readonly bindings: readonly (Tensor | Weight | undefined)[]
  /** The carried numbers that it reads and changes, if any. */
  readonly state: State | undefined
  /** Workgroups in x, y and z. */
  readonly groups: readonly [number, number, number]
}

/** Rows up to which `linear` runs as `few`: beyond, a tile reads the kernel less often. */
const FEW = 8
/**
 * Bytes of workgroup memory of a tile of 128 invocations (gpu/lib/tile.wgsl); one of 64 fits every
 * device.
 */
const TILE_BYTES = 18688
/**
 * Tiles from which 64 invocations each fill a large GPU: on an H200 480 tiles take 0.85 of the time
 * that they take with 128, 120 tiles 1.7 times it.
 */
const MANY_TILES = 384

const activations: Record<Activation, number> = { none: 0, gelu: 1, tanh: 2 }
const averages: Record<AverageKind, number> = { all: 0, window: 1, halfLife: 2 }

/**
 * What to run for a step.
 * @param dtype of the matrices
 * @param room bytes of workgroup memory of the device
 */
export function encode(step: Step, dtype: MatrixDType, room: number): Call {
  const call = (
    bindings: Call['bindings'],
    params: Call['params'],
    groups: Call['groups'],
    constants: Record<string, boolean | number> = {},
    entry: Call['entry'] = 'main',
  ): Call => ({
    op: step.op,
    entry,
    params,
    bindings,
    groups,
    state: statesOf(step)[0],
    dtype: step.op === 'linear' || step.op === 'blockLinear' ? dtype : 'f32',
    constants: Object.fromEntries(
      Object.entries(constants).map(([name, value]) => [name, Number(value)]),
    ),
  })
  const { output } = step
  const rows = rowsOf(output)
  const [b = 1, t = 1, n = 1, d = 1] = output.shape
  const tiled = (
    bindings: Call['bindings'],
    params: Call['params'],
    { rows: k, columns, blocks }: Weight,
    ALIGNED: boolean,
  ) => {
    const groups = tiles(columns, 32, rows, 40, blocks)
    const INVOCATIONS =
      room < TILE_BYTES || groups[0] * groups[1] * groups[2] >= MANY_TILES ? 64 : 128
    return call(bindings, params, groups, {
      ALIGNED,
      INVOCATIONS,
      WHOLE: k % (INVOCATIONS / 2) === 0,
    })
  }

  switch (step.op) {
    case 'patchify': {
      const { pixels } = step.inputs
      const [py, px] = step.params.patchSize
      const count = rows * columnsOf(output)
      return call(
        [output, pixels],
        [
          count,
          ...view(output),
          pixels.offset,
          n,
          step.params.lead,
          pixels.shape[3]! / px,
          py,
          px * 3,
        ],
        spread(count / 64),
        {
          BYTES: pixels.buffer.dtype === 'u8',
        },
      )
    }
    case 'linear': {
      const { x, multiply, add } = step.inputs
      const { kernel, bias, table } = step.weights
      const { activation, activated } = step.params
      const params = [
        rows,
        kernel.rows,
        kernel.columns,
        ...view(output),
        ...view(x),
        ...view(multiply),
        ...view(add),
        Number(!!bias),
        activations[activation],
        activated,
        Number(!!multiply),
        Number(!!add),
        table?.rows ?? 0,
      ]
      const bindings = [output, x, multiply, add, kernel, bias, table]
      const ALIGNED = aligned([x, multiply, add], [kernel.rows, kernel.columns])
      if (rows <= FEW)
        return call(
          bindings,
          params,
          tiles(kernel.columns, 32, rows, 4),
          { ALIGNED, WHOLE: kernel.rows % 4 === 0 },
          'few',
        )
      return tiled(bindings, params, kernel, ALIGNED)
    }
    case 'blockLinear': {
      const { x } = step.inputs
      const { kernel, bias } = step.weights
      return tiled(
        [output, x, kernel, bias],
        [rows, kernel.rows, kernel.columns, ...view(output), ...view(x)],
        kernel,
        aligned([x], [kernel.rows]),
      )
    }
    case 'conv1d': {
      const { x } = step.inputs
      const { kernel, bias } = step.weights
      const count = b * n * d
      return call(
        [output, x, kernel, bias],
        [count, t, n, d, kernel.rows, quads(kernel.columns), ...view(output), ...view(x)],
        spread(count / 64),
      )
    }
    case 'rgLru': {
      const { v, gates, y } = step.inputs
      const count = b * n * d
      const params = [
        count,
        t,
        n,
        d,
        d / step.params.heads,
        ...view(output),
        ...view(v),
        ...view(gates),
        ...view(y),
      ]
      return call([output, v, gates, y, step.weights.decay], params, spread(count / 64))
    }
    case 'rmsNorm':
    case 'layerNorm': {
      const { x } = step.inputs
      const { scale } = step.weights
      const bindings =
        step.op === 'layerNorm' ? [output, x, scale, step.weights.bias] : [output, x, scale]
      return call(bindings, [rows, columnsOf(output), ...view(output), ...view(x)], spread(rows), {
        ALIGNED: aligned([x], [columnsOf(output)]),
      })
    }
    case 'attention': {
      const { q, k, v } = step.inputs
      const { heads } = step.params
      const r = d / heads
      const params = [n, k.shape[2]!, heads, r, ...view(output), ...view(q), ...view(k), ...view(v)]
      return call([output, q, k, v], params, tiles(n, 16, heads * Math.ceil(r / 64), 1, b * t), {
        ALIGNED: aligned([q, k, v], [r]),
      })
    }
    case 'pool': {
      const { x } = step.inputs
      const count = b * t * d
      return call(
        [output, x],
        [count, x.shape[2]!, d, ...view(output), ...view(x)],
        spread(count / 64),
      )
    }
    case 'average': {
      const count = b * d
      const MODE = averages[step.params.over]
      return call(
        [output, step.inputs.x],
        [count, t, d, 0, ...view(output), ...view(step.inputs.x)],
        spread(count / 64),
        { MODE },
      )
    }
    case 'softmax':
      return call(
        [output, step.inputs.x],
        [rows, columnsOf(output), ...view(output), ...view(step.inputs.x)],
        spread(rows),
      )
  }
}

/**
 * Columns of a weight with those that make them a multiple of 4, which is how kernels fetch them;
 * the added ones are zero.
 */
export function quads(columns: number): number {
  return Math.ceil(columns / 4) * 4
}

/** Bytes of an element of a weight: only matrices are ever float16, the rest is small. */
export function elementBytes({ kind }: Weight, dtype: MatrixDType): 2 | 4 {
  return kind === 'matrix' && dtype === 'f16' ? 2 : 4
}

/** Bytes of a weight on the GPU, row-major. */
export function weightBytes(weight: Weight, dtype: MatrixDType): number {
  return elementBytes(weight, dtype) * weight.blocks * weight.rows * quads(weight.columns)
}

const view = (tensor: Tensor | undefined): [offset: number, stride: number] =>
  tensor ? [tensor.offset, tensor.stride] : [0, 0]

/**
 * Whether vec4 can be fetched: rows begin at multiples of 4 elements and these sizes are such
 * multiples.
 */
function aligned(tensors: readonly (Tensor | undefined)[], sizes: readonly number[]): boolean {
  return [...tensors.flatMap(view), ...sizes].every((value) => value % 4 === 0)
}

/**
 * A number of workgroups in x and, because 65535 is the limit, y; kernels count them as y·groups.x
 * + x.
 */
function spread(groups: number): [number, number, number] {
  const x = Math.min(Math.ceil(groups), 65535)
  return [x, Math.ceil(groups / x), 1]
}

function tiles(
  columns: number,
  width: number,
  rows: number,
  height: number,
  z = 1,
): [number, number, number] {
  return [Math.ceil(columns / width), Math.ceil(rows / height), z]
}
