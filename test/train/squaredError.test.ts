import { expect, test } from 'vitest'
import { gamma, noise, type OpCase, runOp, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly rows: number
  readonly n: number
  readonly prediction?: Float32Array
  readonly target?: Float32Array
  readonly weight?: Float32Array
}

function problem({
  name = '',
  t = 1,
  rows,
  n,
  prediction = noise(t * rows * n, 1, 2),
  target = noise(t * rows * n, 2),
  weight = noise(t * rows, 3).map(Math.abs),
}: Problem): OpCase {
  const shape = [1, t, rows, n]
  return {
    ...{ name: `${name} ${t}×${rows}×${n}`.trim(), t },
    inputs: {
      prediction: { shape, values: prediction },
      target: { shape, values: target },
      weight: { shape: [1, t, rows, 1], values: weight },
    },
    record: (ops, { prediction, target, weight }) =>
      ops.squaredError('op', prediction!, target!, weight!),
    // A difference and two products; the loss: differences, squares, their sum and a product. Small
    // squares and small differences may become 0.
    bound: (precision, want, output) => {
      const { unit, smallest } = precision
      if (output === 'dprediction')
        return want.map(
          (value, at) =>
            4 * unit * Math.abs(value) + (2 * weight[Math.floor(at / n)]! + 1) * smallest,
        )
      const sums = gamma(n + 4, precision)
      return want.map((value, row) => Math.abs(value) * sums + n * (weight[row]! + 1) * smallest)
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 7, 8, 9, 16, 63, 64, 65, 768].map((n) => problem({ rows: 3, n })),
    ...[1, 2, 70].map((rows) => problem({ rows, n: 10 })),
    problem({ t: 3, rows: 5, n: 12 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ name: 'equal', rows: 2, n: 9, prediction: noise(18, 2) }),
    problem({ name: 'weights 0 and 1', rows: 2, n: 9, weight: Float32Array.of(0, 1) }),
    problem({
      name: 'small',
      rows: 2,
      n: 9,
      prediction: noise(18, 1, 1e-25),
      target: noise(18, 2, 1e-25),
    }),
    problem({ name: 'large', rows: 2, n: 9, prediction: noise(18, 1, 1e18) }),
    problem({ name: 'NaN in one row', rows: 3, n: 9, target: noise(27, 2).fill(NaN, 13, 14) }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem({ t: 2, rows: 40, n: 75 }))

test('the gradient is the slope of the loss', async () => {
  const prediction = noise(12, 1, 2)
  const run = async (of: Float32Array) =>
    (await runOp(trainingTeam.create, problem({ rows: 4, n: 3, prediction: of }))).outputs
  const { dprediction } = await run(prediction)
  for (let column = 0; column < 3; column++) {
    const moved = (by: number) => prediction.map((x, at) => (at % 3 === column ? x + by : x))
    const [above, below] = [await run(moved(0.5)), await run(moved(-0.5))]
    for (let row = 0; row < 4; row++)
      expect(above['loss']![row]! - below['loss']![row]!).toBeCloseTo(
        dprediction![3 * row + column]!,
        5,
      )
  }
})
