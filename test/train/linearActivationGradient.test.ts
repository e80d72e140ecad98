import { afterAll, describe, expect, test } from 'vitest'
import type { Activation } from '../../src/program/program.ts'
import { optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { noise, type OpCase, runOp, testOp } from '../ops.ts'
import { gelu } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { casesOf, input, nameOf, type Problem, slopeError } from './ends.ts'
import { slope } from './reference.ts'

function linearActivationGradient(p: Problem): OpCase {
  const { b = 1, t = 1, rows, n, activation } = p
  const count = b * t * rows * n
  const at = p.at ?? noise(count, 1, activation === 'tanh' ? 1 : 4)
  const dy = p.dy ?? noise(count, 2)
  const activated = activation === 'none' ? 0 : (p.activated ?? n)
  return {
    ...{ name: nameOf(p), b, t },
    inputs: { dy: input(p, dy), at: input(p, at) },
    record: (ops, { dy, at }) =>
      ops.linearActivationGradient('op', dy!, at!, activation, { activated }),
    bound: (precision, want) =>
      want.map((value, i) =>
        i % n < activated
          ? Math.abs(dy[i]!) * slopeError(activation, at[i]!, precision) +
            precision.unit * Math.abs(value) +
            precision.smallest * (1 + Math.abs(dy[i]!))
          : 0,
      ),
  }
}

testOp(
  'sizes and extreme values',
  casesOf(linearActivationGradient),
  trainingBackends,
  trainingTeam,
)

testOp(
  'some columns activated',
  (['gelu', 'tanh'] as const).flatMap((activation) =>
    [0, 1, 4, 8, 9, 16, 19].map((activated) =>
      linearActivationGradient({ rows: 2, n: 19, activation, activated }),
    ),
  ),
  trainingBackends,
  trainingTeam,
)

describe.each(trainingBackends)('goldens on $name', async (backend) => {
  const goldens = await Goldens.open('grad_ops.npz')

  test.each(['gelu/grid', 'gelu/extreme', 'tanh/grid', 'tanh/extreme'])(
    '%s',
    optionsOf(backend),
    async (name) => {
      const [activation] = name.split('/') as [Activation]
      const x = goldens.get(`activation/${name}/x`).values
      const dy = goldens.get(`activation/${name}/dy`).values
      const at = activation === 'tanh' ? x.map(Math.tanh) : x
      const { output } = await runOp(
        backend.create,
        linearActivationGradient({ rows: x.length, n: 1, activation, at, dy }),
      )
      goldens.expect(`activation/${name}/dx`, output)
    },
  )

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^activation\/(gelu|tanh)\/.*\/dx$/.test(name))).toEqual(
      [],
    )
    console.log(goldens.report())
  })
})

test('the slope of the reference is that of its function', () => {
  for (const z of [-12, -3, -0.75, -0.1, 0, 0.2, 1, 5, 12]) {
    const h = 1e-4
    expect(slope('gelu', z)).toBeCloseTo((gelu(z + h) - gelu(z - h)) / (2 * h), 7)
    expect(slope('tanh', Math.tanh(z))).toBeCloseTo(
      (Math.tanh(z + h) - Math.tanh(z - h)) / (2 * h),
      7,
    )
  }
})
