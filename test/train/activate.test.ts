import { afterAll, describe, expect, test } from 'vitest'
import type { Activation } from '../../src/program/program.ts'
import { optionsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { expectSame, noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { gelu } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { casesOf, input, nameOf, type Problem } from './ends.ts'

function activate(p: Problem, multiplies = false): OpCase {
  const { b = 1, t = 1, rows, n, activation } = p
  const count = b * t * rows * n
  const z = p.at ?? noise(count, 1, 4)
  const multiply = multiplies ? noise(count, 2) : undefined
  const activated = activation === 'none' ? 0 : (p.activated ?? n)
  return {
    ...{ name: nameOf(p) + (multiply ? ', multiply' : ''), b, t },
    inputs: { z: input(p, z), ...(multiply && { multiply: input(p, multiply) }) },
    record: (ops, { z, multiply }) =>
      ops.activate('op', z!, activation, { activated, ...(multiply && { multiply }) }),
    bound: ({ unit, smallest }, want) =>
      want.map((value, i) => {
        const error = i % n < activated ? errorOf(activation, z[i]!, unit) + smallest : 0
        if (!multiply) return error
        return error * Math.abs(multiply[i]!) + unit * Math.abs(value) + 2 * smallest
      }),
  }
}

/** Error of f(z), as in test/linear.test.ts. */
function errorOf(activation: Activation, z: number, unit: number): number {
  if (activation === 'tanh') return 7 * unit * Math.abs(Math.tanh(z))
  const argument = 2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)
  const relative = (7 * Math.abs(argument) + 7) * unit
  return (gelu(z) && relative * Math.abs(gelu(z))) + Math.min(Math.abs(z), 64) * 2 ** -126
}

testOp(
  'sizes and extreme values',
  [...casesOf(activate), ...casesOf((p) => activate(p, true))],
  trainingBackends,
  trainingTeam,
)

testOp(
  'some columns activated',
  (['gelu', 'tanh'] as const).flatMap((activation) =>
    [0, 1, 4, 8, 9, 16, 19].flatMap((activated) =>
      [false, true].map((multiplies) =>
        activate({ rows: 2, n: 19, activation, activated }, multiplies),
      ),
    ),
  ),
  trainingBackends,
  trainingTeam,
)

const exact = [...trainingBackends, trainingTeam].filter(({ name }) =>
  /^wasm($| wide$| on)/.test(name),
)

describe.each(exact)('after linear on $name', (backend) => {
  const [rows, k, n] = [21, 13, 29]
  const ends = (['none', 'gelu', 'tanh'] as const).flatMap((activation) =>
    [n, 11].flatMap((activated) =>
      [false, true].map((multiplies) => ({ activation, activated, multiplies })),
    ),
  )

  test.each(ends)(
    '$activation of $activated columns, multiply: $multiplies, has the bits of linear',
    optionsOf(backend),
    async ({ activation, activated, multiplies }) => {
      const op = (split: boolean): OpCase => ({
        name: '',
        inputs: {
          x: { shape: [1, 1, rows, k], values: noise(rows * k, 1, 2) },
          multiply: { shape: [1, 1, rows, n], values: noise(rows * n, 4) },
        },
        weights: {
          kernel: { kind: 'matrix', blocks: 1, rows: k, columns: n, values: noise(k * n, 2) },
          bias: rowsWeight(1, n, noise(n, 3)),
        },
        record(ops, { x, multiply }) {
          const end = { activated, ...(multiplies && { multiply: multiply! }) }
          if (!split) return ops.linear('op', x!, 'kernel', { bias: 'bias', activation, ...end })
          const z = ops.linear('z', x!, 'kernel', { bias: 'bias' })
          return ops.activate('op', z, activation, end)
        },
        bound: (_, want) => want,
      })
      const want = await runOp(backend.create, op(false))
      const got = await runOp(backend.create, op(true))
      expectSame('output', got.output, want.output)
    },
  )
})

describe.each(trainingBackends)('goldens on $name', async (backend) => {
  const goldens = await Goldens.open('grad_ops.npz')

  test.each(['gelu/grid', 'gelu/extreme', 'tanh/grid', 'tanh/extreme'])(
    '%s',
    optionsOf(backend),
    async (name) => {
      const [activation] = name.split('/') as [Activation]
      const z = goldens.get(`activation/${name}/x`).values
      const { output } = await runOp(
        backend.create,
        activate({ rows: z.length, n: 1, activation, at: z }),
      )
      goldens.expect(`activation/${name}/y`, output)
    },
  )

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^activation\/(gelu|tanh)\/.*\/y$/.test(name))).toEqual(
      [],
    )
    console.log(goldens.report())
  })
})
