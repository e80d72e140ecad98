import { expect, test } from 'vitest'
import { softplus } from '../../src/model/math.ts'
import { noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

function problem(
  e: number,
  name = '',
  a: Float32Array = noise(e, 1, 5),
  ddecay: Float32Array = noise(e, 2, 3),
): OpCase {
  return {
    name: `${name} ${e}`.trim(),
    inputs: { ddecay: { shape: [1, e], values: ddecay } },
    weights: { a: rowsWeight(1, e, a) },
    record: (ops, { ddecay }) => ops.decayGradient('op', ddecay!, 'a'),
    // σ: an exponential of 4 units, which ends at the smallest normal number, a sum and a quotient.
    // Then two products.
    bound: ({ unit, smallest }, want) =>
      want.map(
        (value, i) =>
          Math.abs(value) * 9 * unit + (8 * Math.abs(ddecay[i]!) + 1) * (2 ** -126 + smallest),
      ),
  }
}

testOp(
  'sizes',
  [1, 2, 3, 4, 5, 7, 8, 9, 64, 65, 770].map((e) => problem(e)),
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem(9, 'zeros', new Float32Array(9)),
    problem(9, 'saturated', noise(9, 1, 300)),
    problem(9, 'no gradient', noise(9, 1), new Float32Array(9)),
    problem(9, 'large gradient', noise(9, 1), noise(9, 2, 1e37)),
    problem(9, 'NaN stays in its column', noise(9, 1).fill(NaN, 3, 4)),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem(131))

test('the gradient is the slope of −8·softplus(a)', async () => {
  const a = noise(20, 1, 4)
  const step = 1e-4
  const { output } = await runOp(
    trainingTeam.create,
    problem(20, '', a, new Float32Array(20).fill(1)),
  )
  a.forEach((x, i) =>
    expect(output[i]).toBeCloseTo((-8 * (softplus(x + step) - softplus(x - step))) / (2 * step), 4),
  )
})
