import { afterAll, describe, expect, test } from 'vitest'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { Goldens } from '../goldens.ts'
import { noise, type OpCase, runOp, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

interface Problem {
  readonly t: number
  readonly n: number
  readonly d: number
  readonly pooled: number
}

function problem({ t, n, d, pooled }: Problem, dy = noise(2 * t * d, 1)): OpCase {
  const b = dy.length / t / d
  return {
    name: `${b}×${t} frames, ${pooled} of ${n} tokens, ${d} columns`,
    ...{ b, t },
    inputs: { dy: { shape: [b, t, 1, d], values: dy } },
    record: (ops, { dy }) => ops.poolGradient('op', dy!, n, pooled),
    // The quotient is rounded once; zeros are exact.
    bound: ({ unit, smallest }, want) =>
      want.map((value) => value && unit * Math.abs(value) + smallest),
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 9, 70].map((d) => problem({ t: 2, n: 5, d, pooled: 5 })),
    ...[1, 2, 7].map((n) => problem({ t: 3, n, d: 10, pooled: 1 })),
    problem({ t: 2, n: 3, d: 6, pooled: 3 }, noise(12, 1, 1e30)),
  ],
  trainingBackends,
  trainingTeam,
)

test.each([0, 4])('%s of 3 pooled tokens are refused', (pooled) => {
  const ops = new TrainingRecorder(1, 1, new Map())
  const dy = ops.input('dy', [1, 1, 1, 8])
  expect(() => ops.poolGradient('op', dy, 3, pooled)).toThrow(
    `poolGradient "op" expected 1 to 3 pooled tokens, got ${pooled}`,
  )
})

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^pool\/.*\/dy$/.test(name))

  test.each(cases.map((name) => name.slice(0, -3)))('%s', async (name) => {
    const [t, n, d] = goldens.get(`${name}/x`).shape as [number, number, number]
    const pooled = name.includes('/tok/') ? 1 : n
    const { output } = await runOp(
      create,
      problem({ t, n, d, pooled }, goldens.get(`${name}/dy`).values),
    )
    goldens.expect(`${name}/dx`, output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^pool\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
