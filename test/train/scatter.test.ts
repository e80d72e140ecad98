import { describe, expect, test } from 'vitest'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { optionsOf } from '../backends.ts'
import { noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { indices } from './tokens.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  readonly n: number
  readonly v: number
  readonly d: number
  readonly token?: boolean
  readonly index?: Float32Array
}

function problem({ name = '', b = 2, t = 1, n, v, d, token = false, index }: Problem): OpCase {
  const parts = [name, `${b}×${t} frames`, `${v} of ${n} tokens`, `${d} columns`]
  return {
    ...{ name: [...parts, token && 'token'].filter(Boolean).join(', '), b, t },
    inputs: {
      x: { shape: [b, t, v, d], values: noise(b * t * v * d, 1) },
      index: { shape: [b, v], values: index ?? indices(b, v, n) },
    },
    weights: token ? { token: rowsWeight(1, d, noise(d, 2)) } : {},
    record: (ops, { x, index }) =>
      ops.scatter('op', x!, index!, n, { ...(token && { token: 'token' }) }),
    // A copy.
    bound: (_, want) => want.map(() => 0),
  }
}

testOp(
  'sizes and values',
  [false, true].flatMap((token) => [
    ...[1, 3, 4, 9, 70].map((d) => problem({ t: 3, n: 5, v: 2, d, token })),
    ...[1, 2, 7, 65].map((v) => problem({ t: 2, n: 70, v, d: 6, token })),
    problem({ b: 3, t: 2, n: 9, v: 9, d: 8, token }),
    problem({ b: 1, n: 1, v: 1, d: 5, token }),
    problem({
      name: 'limited to the tokens, the last one counts',
      ...{ b: 1, n: 5, v: 5, d: 4, token },
      index: Float32Array.of(-1, 5, 1e9, -1e30, 2),
    }),
  ]),
  fullTrainingBackends,
  trainingTeam,
)

describe.each([...fullTrainingBackends, trainingTeam])('with gather on $name', (backend) => {
  test('each is the gradient of the other', optionsOf(backend), async () => {
    const [b, t, n, v, d] = [2, 3, 11, 4, 6]
    const [all, some] = [noise(b * t * n * d, 1), noise(b * t * v * d, 2)]
    const index = { shape: [b, v], values: indices(b, v, n) }
    const run = async (op: Pick<OpCase, 'inputs' | 'record'>) => {
      const { output } = await runOp(backend.create, { name: '', b, t, bound: (_, x) => x, ...op })
      return output
    }
    const gathered = await run({
      inputs: { x: { shape: [b, t, n, d], values: all }, index },
      record: (ops, { x, index }) => ops.gather('op', x!, index!),
    })
    const scattered = await run({
      inputs: { x: { shape: [b, t, v, d], values: some }, index },
      record: (ops, { x, index }) => ops.scatter('op', x!, index!, n),
    })
    // ⟨gather x, y⟩ = ⟨x, scatter y⟩. The sums are in float64; their order differs.
    const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, a, at) => sum + a * y[at]!, 0)
    expect(dot(gathered, some)).not.toBe(0)
    expect(dot(gathered, some)).toBeCloseTo(dot(all, scattered), 12)
  })
})

test.each([2, 3.5, NaN])('scatter of 3 tokens to %s is refused', (n) => {
  const ops = new TrainingRecorder(1, 1, new Map())
  const [x, index] = [ops.input('x', [1, 1, 3, 8]), ops.input('index', [1, 3])]
  expect(() => ops.scatter('op', x, index, n)).toThrow(
    `scatter "op" expected n to be an integer from 3 on, the tokens of x, got ${n}`,
  )
})
