import { TrecvitError } from '../base/error.ts'
import {
  columnsOf,
  inputsOf,
  outputsOf,
  type Program,
  rowsOf,
  type Step,
  type Tensor,
} from '../program/program.ts'
import { type Columns, Context, type Style } from './context.ts'
import { Graph, type Value } from './graph.ts'
import { operations } from './operations.ts'
import type { Weights } from './weights.ts'

/** Options for `writeProgram`. */
export interface ProgramOptions extends Style {
  /** Outputs of the graph: after the last frame [b, c], or all tokens [b, t, n, d]. */
  readonly outputs: Readonly<Record<string, 'last' | 'tokens'>>
}

/**
 * Writes a recorded program as an ONNX graph. Inputs: those of the program, `frames` [1] (frames
 * since the reset) and the states. Outputs: the requested outputs, and `next/` plus the name of
 * each state and of `frames`. All states and `frames` are zero after a reset.
 * @param weights every weight that the program reads; kept in memory until the graph is written
 * @param graph an empty graph to write to
 */
export function writeProgram(
  program: Program,
  weights: Weights,
  { outputs, ...style }: ProgramOptions,
  graph: Graph = new Graph(),
): Graph {
  for (const [name, { shape }] of Object.entries(program.inputs)) graph.input(name, shape)
  const context = new Context(graph, weights, style)
  for (const tensor of Object.values(program.inputs)) {
    const { name } = tensor.buffer
    if (name !== 'pixels')
      context.write(tensor, whole(tensor), context.reshape(name, rowsOf(tensor), columnsOf(tensor)))
  }
  const wanted = Object.keys(outputs).map((name) => program.outputs[name]!)
  const read = [...program.steps.flatMap(inputsOf), ...wanted]
  for (const step of program.steps) {
    graph.scope = step.name
    for (const columns of columnsRead(step, read)) {
      const value = nodesOf(context, step, columns)
      context.write(outputsOf(step)[0]!, columns, value)
    }
  }
  for (const [name, frames] of Object.entries(outputs)) {
    graph.scope = `outputs/${name}`
    const tensor = program.outputs[name]!
    const [b, t, n, d] = tensor.shape as [number, number, number, number]
    const tokens = context.reshape(context.read(tensor), b, t, n, d)
    const last = () => context.reshape(context.slice(tokens, 1, t - 1, 1), b, d)
    if (frames === 'last') graph.output(name, last(), [b, d])
    else graph.output(name, tokens, [b, t, n, d])
  }
  context.writeStates(program.t)
  return graph
}

function nodesOf<S extends Step>(context: Context, step: S, columns: Columns): Value {
  const write = operations[step.op] as
    | ((context: Context, step: S, columns: Columns) => Value)
    | undefined
  if (!write)
    throw new TrecvitError(`${step.op} "${step.name}" has no form in ONNX (src/onnx/operations.ts)`)
  return write(context, step, columns)
}

/**
 * Returns the groups of columns in which the output of a step is written. If a product is read in
 * parts, each part is written as a product of its own. Joining their weights would save nothing,
 * and splitting the result would cost a copy.
 */
function columnsRead(step: Step, read: readonly Tensor[]): readonly Columns[] {
  if (step.op !== 'linear') return [whole(outputsOf(step)[0]!)]
  const output = step.outputs.out
  const parts = new Map<string, Columns>()
  for (const { buffer, offset, shape } of read) {
    if (buffer !== output.buffer) continue
    const from = (offset - output.offset) % output.stride
    const count = shape.at(-1)!
    parts.set(`${from} ${count}`, { from, count })
  }
  return [...parts.values()]
}

function whole(tensor: Tensor): Columns {
  return { from: 0, count: columnsOf(tensor) }
}
