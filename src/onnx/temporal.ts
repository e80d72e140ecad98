/** Operations with a state that is carried from frame to frame, as ONNX nodes. */
import { TrecvitError } from '../base/error.ts'
import { rowsOf, type StepOf } from '../program/program.ts'
import type { Context, Shape4 } from './context.ts'
import type { Value } from './graph.ts'

export function conv1d(
  context: Context,
  { outputs, inputs, weights, states }: StepOf<'conv1d'>,
): Value {
  const { graph } = context
  const [b, t, n, e] = outputs.out.shape as Shape4
  const history = weights.kernel.rows - 1
  const x = context.reshape(context.read(inputs.x), b, t, n, e)
  const past = context.state(states.past)
  // For each tap: the frames of the chunk, delayed by the tap's index.
  let shifted: Value[]
  if (past && t === 1) {
    shifted = [...context.split(past, 1, history), x]
    context.setState(states.past, () => graph.node('Concat', shifted.slice(1), { axis: 1 }))
  } else {
    const all = past
      ? graph.node('Concat', [past, x], { axis: 1 })
      : graph.node('Pad', [x, graph.integers(0, history, 0, 0, 0, 0, 0, 0)])
    shifted = Array.from({ length: history + 1 }, (_, tap) => context.slice(all, 1, tap, t))
    context.setState(states.past, () => context.slice(all, 1, t, history))
  }
  const kernel = context.split(context.weight(weights.kernel), 0, history + 1)
  let sum = context.weight(weights.bias)
  shifted.forEach((frames, tap) => {
    sum = graph.node('Add', [sum, graph.node('Mul', [frames, kernel[tap]!])])
  })
  return context.reshape(sum, rowsOf(outputs.out), e)
}

export function rgLru(context: Context, step: StepOf<'rgLru'>): Value {
  const { graph } = context
  const { outputs, inputs, weights, states, params } = step
  const [b, t, n, e] = outputs.out.shape as Shape4
  const rows = rowsOf(outputs.out)
  const byHead = context.reshape(
    context.read(inputs.gates),
    rows,
    params.heads,
    (2 * e) / params.heads,
  )
  const [inputGate, decayGate] = context
    .split(byHead, 2, 2)
    .map((gate) => graph.node('Sigmoid', [context.reshape(gate, b, t, n, e)])) as [Value, Value]
  const gated = graph.node('Mul', [inputGate, context.reshape(context.read(inputs.v), b, t, n, e)])
  const a = graph.node('Exp', [graph.node('Mul', [decayGate, context.weight(weights.decay)])])
  const square = graph.node('Mul', [a, a])
  const scale = graph.node('Sqrt', [graph.node('Sub', [graph.scalar(1), square])])

  const [decays, scales, gates] = [a, scale, gated].map((x) => context.split(x, 1, t)) as [
    Value[],
    Value[],
    Value[],
  ]
  let s = context.state(states.s)
  if (s) {
    s = context.reshape(s, b, 1, n, e)
    // After a reset the input is not scaled.
    const isFirst = graph.node('Sub', [graph.scalar(1), graph.node('Sign', [context.frames!])])
    scales[0] = graph.node('Max', [scales[0]!, isFirst])
  }
  const answers = decays.map((decay, frame) => {
    if (s) {
      const added = graph.node('Mul', [scales[frame]!, gates[frame]!])
      s = graph.node('Add', [graph.node('Mul', [decay, s]), added])
    } else {
      s = gates[frame]!
    }
    return s
  })
  context.setState(states.s, () => context.reshape(answers.at(-1)!, b, n, e))
  const all = t === 1 ? answers[0]! : graph.node('Concat', answers, { axis: 1 })
  return graph.node('Mul', [context.reshape(all, rows, e), context.read(inputs.y)])
}

export function average(context: Context, step: StepOf<'average'>): Value {
  const { graph } = context
  const { outputs, inputs, states, params } = step
  if (params.over !== 'all')
    throw new TrecvitError(`ONNX expected an average over 'all' frames, got '${params.over}'`)
  const [b, t, , c] = outputs.out.shape as Shape4
  const x = context.reshape(context.read(inputs.x), b, t, c)
  // Sums over the frames of the chunk so far: a product with a triangular matrix of ones.
  const ones = () => Float32Array.from({ length: t * t }, (_, i) => (i % t <= i / t ? 1 : 0))
  const sums = t === 1 ? x : graph.node('MatMul', [graph.constant(`ones ${t}`, [t, t], ones), x])
  const numbers = () => Float32Array.from({ length: t }, (_, i) => i + 1)
  let counts = graph.constant(`frames 1..${t}`, [t, 1], numbers)
  let totals = sums
  const past = context.state(states.past)
  if (past) {
    counts = graph.node('Add', [counts, context.frames!])
    const [sum, error] = context.split(past, 1, 2) as [Value, Value]
    totals = graph.node('Add', [graph.node('Add', [sums, error]), sum])
    // Knuth's TwoSum: the rounded sum and its rounding error.
    const added = context.slice(sums, 1, t - 1, 1)
    const next = graph.node('Add', [sum, added])
    const taken = graph.node('Sub', [next, sum])
    const ofSum = graph.node('Sub', [sum, graph.node('Sub', [next, taken])])
    const ofAdded = graph.node('Sub', [added, taken])
    const nextError = graph.node('Add', [error, graph.node('Add', [ofSum, ofAdded])])
    context.setState(states.past, () => graph.node('Concat', [next, nextError], { axis: 1 }))
  }
  return context.reshape(graph.node('Div', [totals, counts]), rowsOf(outputs.out), c)
}
