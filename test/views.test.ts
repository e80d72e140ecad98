/** Some tokens of every frame are a view: steps that read it give the result of a dense copy. */
import { describe, expect, test } from 'vitest'
import type { Tensor } from '../src/program/program.ts'
import { Recorder } from '../src/program/record.ts'
import { backends } from './backends.ts'
import { expectSame, noise } from './ops.ts'

const [b, t, n, d] = [2, 3, 6, 8]
const weights = [
  { name: 'scale', kind: 'rows', blocks: 1, rows: 1, columns: d },
  { name: 'bias', kind: 'rows', blocks: 1, rows: 1, columns: d },
  { name: 'kernel', kind: 'matrix', blocks: 1, rows: d, columns: d },
] as const

/** Results of operations on `some`, tokens of x. */
function record(ops: Recorder, path: string, some: Tensor, x: Tensor): Record<string, Tensor> {
  const normal = ops.layerNorm(`${path}/norm`, some, 'scale', 'bias')
  const linear = ops.linear(`${path}/linear`, some, 'kernel', { bias: 'bias', add: some })
  return {
    normal,
    linear,
    context: ops.attention(`${path}/context`, some, x, x, 2),
    keys: ops.attention(`${path}/keys`, normal, some, some, 2),
    pool: ops.pool(`${path}/pool`, some),
  }
}

describe.each(backends)('tokens of every frame on $name', ({ name, create }) => {
  test.each([
    [0, 2],
    [2, 4],
    [5, 1],
    [0, 6],
  ])('from %i, %i of them', async (from, count) => {
    const ops = new Recorder(b, t, new Map(weights.map((weight) => [weight.name, weight])))
    const x = ops.input('x', [b, t, n, d])
    const dense = ops.input('dense', [b, t, count, d])
    const views = record(ops, 'view', ops.tokens(x, from, count), x)
    const copies = record(ops, 'copy', dense, x)
    const named = (path: string, of: object) =>
      Object.fromEntries(Object.entries(of).map(([op, tensor]) => [`${path}/${op}`, tensor]))
    const program = ops.end({ ...named('view', views), ...named('copy', copies) })
    const backend = await create(weights)
    for (const [index, weight] of weights.entries())
      backend.write(weight, noise(weight.rows * d, index), 0, d, 0)
    const replay = await backend.prepare(program)
    const state = await backend.createState([])
    const values = noise(b * t * n * d, 9)
    const frames = Array.from({ length: b * t }, (_, frame) =>
      Array.from(values.subarray((frame * n + from) * d, (frame * n + from + count) * d)),
    )
    const outputs = await replay.run(state, 0, {
      x: values,
      dense: Float32Array.from(frames.flat()),
    })
    for (const op of Object.keys(views)) {
      const [got, want] = [outputs[`view/${op}`]!, outputs[`copy/${op}`]!]
      if (name.startsWith('wasm')) expectSame(op, got, want)
      // A GPU has another kernel for a few rows, which adds in another order.
      else got.forEach((value, i) => expect(value, op).toBeCloseTo(want[i]!, 5))
    }
    for (const part of [replay, state, backend]) part.dispose()
  })
})

test('what cannot be computed frame by frame is an error', () => {
  const ops = new Recorder(b, t, new Map(weights.map((weight) => [weight.name, weight])))
  const some = ops.tokens(ops.input('x', [b, t, n, d]), 1, 3)
  expect(() => ops.conv1d('past', some, 'kernel', 'bias')).toThrow('follow each other')
  expect(() => ops.linear('table', some, 'kernel', { table: 'bias' })).toThrow('follow each other')
  expect(() => ops.end({ some })).toThrow('Output "some" expected frames that follow each other')
  expect(() => ops.tokens(some, 2, 2)).toThrow('expected tokens within its 3 tokens')
})
