/** Some tokens of every frame as a view: results are bit-identical to those of a dense copy. */
import { describe, expect, test } from 'vitest'
import { quantize } from '../src/base/int8.ts'
import { scalesOf, type Tensor } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { backends, optionsOf, tagsOfModel, threadPool } from './backends.ts'
import { blockProblem } from './int8Products.ts'
import { expectSame, noise, rowsWeight, type WeightInput } from './ops.ts'

const [b, t, n] = [2, 3, 10]

function weightsOf(d: number): Record<string, WeightInput> {
  const matrix = { kind: 'matrix', blocks: 1, rows: d } as const
  const int8 = quantize(noise(d * d, 10), d)
  return {
    scale: rowsWeight(1, d, noise(d, 1)),
    bias: rowsWeight(1, d, noise(d, 2)),
    decay: rowsWeight(1, d, noise(d, 3)),
    taps: rowsWeight(3, d, noise(3 * d, 4)),
    biases: { kind: 'rows', blocks: 2, rows: 1, columns: d, values: noise(2 * d, 8) },
    table: rowsWeight(2, d, noise(2 * d, 5)),
    kernel: { ...matrix, columns: d, values: noise(d * d, 6) },
    int8: { ...matrix, kind: 'int8', columns: d, values: int8.values },
    [scalesOf('int8')]: rowsWeight(1, d, int8.scales),
    blocks: { kind: 'matrix', blocks: 2, rows: d / 2, columns: d, values: noise(d * d, 7) },
  }
}

/** Records every operation on `some`, which are tokens of x. */
function record(ops: Recorder, path: string, some: Tensor, x: Tensor): Record<string, Tensor> {
  const linear = { bias: 'bias', add: some } as const
  const past = ops.conv1d(`${path}/past`, some, 'taps', 'bias')
  const gates = ops.blockLinear(`${path}/gates`, some, 'blocks', 'biases')
  return {
    past,
    gates,
    rgLru: ops.rgLru(`${path}/rgLru`, some, gates, some, 'decay', 2),
    layerNorm: ops.layerNorm(`${path}/layerNorm`, some, 'scale', 'bias'),
    rmsNorm: ops.rmsNorm(`${path}/rmsNorm`, some, 'scale'),
    softmax: ops.softmax(`${path}/softmax`, some),
    x: ops.linear(`${path}/x`, some, 'kernel', { bias: 'bias', activation: 'gelu' }),
    add: ops.linear(`${path}/add`, past, 'kernel', linear),
    all: ops.linear(`${path}/all`, some, 'kernel', { ...linear, multiply: past, table: 'table' }),
    query: ops.attention(`${path}/query`, some, x, x, 2),
    keys: ops.attention(`${path}/keys`, past, some, some, 2),
    pool: ops.pool(`${path}/pool`, some),
    int8: ops.linear(`${path}/int8`, some, 'int8', { add: some }),
  }
}

describe.each([...backends, threadPool])('tokens of every frame on $name', (backend) => {
  const options = { ...optionsOf(backend), tags: tagsOfModel(backend) }

  test.each([
    { from: 3, count: 7, d: 8 },
    { from: 1, count: 3, d: 16 },
    { from: 1, count: 8, d: 6 },
    { from: 9, count: 1, d: 8 },
    { from: 0, count: 10, d: 8 },
  ])('$count from $from on, $d columns', options, async ({ from, count, d }) => {
    const weights = Object.entries(weightsOf(d)).map(([name, weight]) => ({ name, ...weight }))
    const ops = new Recorder(b, t, new Map(weights.map((weight) => [weight.name, weight])))
    const x = ops.input('x', [b, t, n, d])
    const dense = ops.input('dense', [b, t, count, d])
    const views = record(ops, 'view', ops.tokens(x, from, count), x)
    const copies = record(ops, 'copy', dense, x)
    const named = (path: string, of: object) =>
      Object.fromEntries(Object.entries(of).map(([op, tensor]) => [`${path}/${op}`, tensor]))
    const program = ops.end({ ...named('view', views), ...named('copy', copies) })

    const made = await backend.create(weights)
    for (const weight of weights) made.write(weight, weight.values, 0, weight.columns, 0)
    const replay = await made.prepare(program)
    const state = await made.createState(program.states)
    const all = noise(b * t * n * d, 9)
    const frames = Array.from({ length: b * t }, (_, frame) =>
      Array.from(all.subarray((frame * n + from) * d, (frame * n + from + count) * d)),
    )
    const outputs = await replay.run(state, 5, {
      x: all,
      dense: Float32Array.from(frames.flat()),
    })
    const states = await state.read()
    for (const part of [replay, state, made]) part.dispose()
    for (const op of Object.keys(views))
      expectSame(op, outputs[`view/${op}`]!, outputs[`copy/${op}`]!)
    const half = states.length / 2
    for (let i = 0; i < half; i++) expectSame(`state ${i}`, states[i]!, states[half + i]!)
  })
})

test('views of views, and views that are out of range', () => {
  const ops = new Recorder(b, t, new Map())
  const x = ops.input('x', [b, t, n, 8])
  const some = ops.tokens(x, 2, 6)
  expect(some).toMatchObject({ offset: 16, shape: [b, t, 6, 8], stride: 8, frameStride: 80 })
  expect(ops.tokens(some, 1, 2)).toMatchObject({ offset: 24, frameStride: 80 })
  expect(ops.token(some, 5)).toMatchObject({ offset: 56, shape: [b, t, 1, 8], stride: 80 })
  expect(ops.columns(some, 4, 4)).toMatchObject({ offset: 20, stride: 8, frameStride: 80 })
  expect(ops.tokens(x, 0, n)).toEqual(x)
  expect(() => ops.tokens(some, 5, 2)).toThrow('"x" expected tokens within its 6 tokens, got 2')
  expect(() => ops.end({ some })).toThrow(
    'Output "some" expected all tokens of a step, got some of "x"',
  )
})

test('int8 gates of some tokens are refused', () => {
  const { weights } = blockProblem({ rows: n, blocks: 2, k: 4, n: 8 })
  const named = Object.entries(weights!).map(
    ([name, weight]) => [name, { name, ...weight }] as const,
  )
  const ops = new Recorder(b, t, new Map(named))
  const some = ops.tokens(ops.input('x', [b, t, n, 8]), 2, 6)
  expect(() => ops.blockLinear('op', some, 'kernel', 'bias')).toThrow(
    'blockLinear "op" expected all tokens of a frame with an int8 kernel, got some of "x"',
  )
})

test('rows of other frames are refused', () => {
  const d = 8
  const weights = Object.entries(weightsOf(d)).map(([name, weight]) => ({ name, ...weight }))
  const ops = new Recorder(b, t, new Map(weights.map((weight) => [weight.name, weight])))
  const some = ops.tokens(ops.input('x', [b, t, n, d]), 2, 6)
  const add = ops.input('add', [b, t * 2, 3, d])
  expect(() => ops.linear('sum', some, 'kernel', { add })).toThrow(
    'linear "sum" expected add to have shape [2,3,6,8], got "add" [2,6,3,8]',
  )
})
