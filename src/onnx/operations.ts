/**
 * The operations of src/program/ops as ONNX nodes. Their formulas are documented there. Each
 * function takes and returns values [rows, columns].
 */
import {
  columnsOf,
  rowsOf,
  type Step,
  type StepOf,
  type Tensor,
  type Weight,
} from '../program/program.ts'
import type { Columns, Context, Shape4 } from './context.ts'
import { dataTypes, type Value } from './graph.ts'
import { average, conv1d, rgLru } from './temporal.ts'

const EPSILON = 1e-6

/** Writers of the operations that ONNX supports. `linear` writes only the requested columns. */
export const operations: {
  readonly [Op in Step['op']]?: (
    context: Context,
    step: Extract<Step, { op: Op }>,
    columns: Columns,
  ) => Value
} = {
  patchify,
  linear,
  blockLinear,
  conv1d,
  rgLru,
  rmsNorm,
  layerNorm,
  attention,
  pool,
  average,
  softmax,
}

function patchify(context: Context, { outputs, inputs, params }: StepOf<'patchify'>): Value {
  const { graph } = context
  const [b, t, height, width] = inputs.pixels.shape as Shape4
  const [py, px] = params.patchSize
  const [gridRows, gridColumns] = [height / py, width / px]
  const grid = context.reshape(inputs.pixels.buffer.name, b * t, gridRows, py, gridColumns, px * 3)
  const patches = context.transpose(grid, 0, 1, 3, 2, 4)
  const byFrame = context.reshape(patches, b * t, gridRows * gridColumns, py * px * 3)
  const padded = params.lead
    ? graph.node('Pad', [byFrame, graph.integers(0, params.lead, 0, 0, 0, 0)])
    : byFrame
  return context.reshape(padded, rowsOf(outputs.out), columnsOf(outputs.out))
}

function linear(context: Context, step: StepOf<'linear'>, columns: Columns): Value {
  const { graph } = context
  const { inputs, weights, params } = step
  const { from, count } = columns
  const rest = params.activated - from
  if (rest > 0 && rest < count) {
    const parts = [
      linear(context, step, { from, count: rest }),
      linear(context, step, { from: params.activated, count: count - rest }),
    ]
    return graph.node('Concat', parts, { axis: 1 })
  }

  const x = context.read(inputs.x)
  const bias = weights.bias && context.weight(weights.bias, columns)
  let z: Value
  if (bias && context.dtype === 'f32') {
    z = graph.node('Gemm', [x, context.weight(weights.kernel, columns), bias])
  } else {
    z = product(context, x, weights.kernel, columns)
    if (bias) z = graph.node('Add', [z, bias])
  }
  if (rest > 0 && params.activation === 'gelu') z = graph.node('Gelu', [z], { approximate: 'tanh' })
  if (rest > 0 && params.activation === 'tanh') z = graph.node('Tanh', [z])
  if (inputs.multiply) z = graph.node('Mul', [z, context.read(inputs.multiply, columns)])
  if (inputs.add) z = graph.node('Add', [z, context.read(inputs.add, columns)])
  if (weights.table) {
    const table = context.weight(weights.table, columns)
    const [rows, period] = [rowsOf(step.outputs.out), weights.table.rows]
    const byFrame = context.reshape(z, rows / period, period, count)
    z = context.reshape(graph.node('Add', [byFrame, table]), rows, count)
  }
  return z
}

/** Writes x·kernel in the number format of the matrices. */
function product(context: Context, x: Value, kernel: Weight, columns: Columns): Value {
  const { graph, dtype } = context
  const matrix = context.weight(kernel, columns, dtype)
  if (dtype === 'f32') return graph.node('MatMul', [x, matrix])
  const half = graph.node('Cast', [x], { to: dataTypes.f16 })
  return graph.node('Cast', [graph.node('MatMul', [half, matrix])], { to: dataTypes.f32 })
}

function blockLinear(context: Context, { outputs, inputs, weights }: StepOf<'blockLinear'>): Value {
  const { blocks, rows: k, columns: n } = weights.kernel
  const rows = rowsOf(outputs.out)
  const byBlock = context.transpose(
    context.reshape(context.read(inputs.x), rows, blocks, k),
    1,
    0,
    2,
  )
  const sums = product(context, byBlock, weights.kernel, { from: 0, count: n })
  const z = context.graph.node('Add', [sums, context.weight(weights.bias)])
  return context.reshape(context.transpose(z, 1, 0, 2), rows, blocks * n)
}

function rmsNorm(context: Context, { inputs, weights }: StepOf<'rmsNorm'>): Value {
  const { graph } = context
  const x = context.read(inputs.x)
  const squares = graph.node('Pow', [x, graph.scalar(2)])
  const mean = graph.node('ReduceMean', [squares, graph.integers(-1)])
  const root = graph.node('Sqrt', [graph.node('Add', [mean, graph.scalar(EPSILON)])])
  const scale = graph.node('Add', [context.weight(weights.scale), graph.scalar(1)])
  return graph.node('Mul', [graph.node('Div', [x, root]), scale])
}

function layerNorm(context: Context, { inputs, weights }: StepOf<'layerNorm'>): Value {
  const affine = [context.weight(weights.scale), context.weight(weights.bias)]
  const attributes = { axis: -1, epsilon: { float: EPSILON } }
  return context.graph.node('LayerNormalization', [context.read(inputs.x), ...affine], attributes)
}

function attention(context: Context, { outputs, inputs, params }: StepOf<'attention'>): Value {
  const { graph } = context
  const [b, t, nq, d] = outputs.out.shape as Shape4
  const width = d / params.heads
  if (context.attention === 'fused') {
    const rows = [inputs.q, inputs.k, inputs.v].map((tensor) =>
      context.reshape(context.read(tensor), b * t, tensor.shape[2]!, d),
    )
    return context.reshape(graph.multiHeadAttention(rows, params.heads), b * t * nq, d)
  }
  const byHead = (tensor: Tensor, ...order: readonly number[]) => {
    const x = context.reshape(context.read(tensor), b * t, tensor.shape[2]!, params.heads, width)
    return context.transpose(x, ...order)
  }
  const q = byHead(inputs.q, 0, 2, 1, 3)
  const scaled = graph.node('Mul', [q, graph.scalar(1 / Math.sqrt(width))])
  const scores = graph.node('MatMul', [scaled, byHead(inputs.k, 0, 2, 3, 1)])
  const p = graph.node('Softmax', [scores], { axis: -1 })
  const sums = graph.node('MatMul', [p, byHead(inputs.v, 0, 2, 1, 3)])
  return context.reshape(context.transpose(sums, 0, 2, 1, 3), b * t * nq, d)
}

function pool(context: Context, { outputs, inputs }: StepOf<'pool'>): Value {
  const { graph } = context
  const [b, t, n, d] = inputs.x.shape as Shape4
  const byFrame = context.reshape(context.read(inputs.x), b * t, n, d)
  const mean = graph.node('ReduceMean', [byFrame, graph.integers(1)])
  return context.reshape(mean, rowsOf(outputs.out), d)
}

function softmax(context: Context, { inputs }: StepOf<'softmax'>): Value {
  return context.graph.node('Softmax', [context.read(inputs.x)], { axis: -1 })
}
