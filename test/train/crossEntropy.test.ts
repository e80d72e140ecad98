import { afterAll, describe, expect, test } from 'vitest'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly rows: number
  readonly c: number
  readonly logits?: Float32Array
  readonly targets?: Float32Array
}

function problem({
  name = '',
  t = 1,
  rows,
  c,
  logits = noise(t * rows * c, 1, 5),
  targets = noise(t * rows * c, 2).map(Math.abs),
}: Problem): OpCase {
  const shape = [1, t, rows, c]
  return {
    ...{ name: `${name} ${t}×${rows}×${c}`.trim(), t },
    inputs: { logits: { shape, values: logits }, targets: { shape, values: targets } },
    record: (ops, { logits, targets }) => ops.crossEntropy('op', logits!, targets!),
    bound(precision, want, output) {
      const { unit, smallest } = precision
      const rowOf = (values: Float32Array, row: number) =>
        Array.from(values.subarray(row * c, (row + 1) * c))
      return want.map((_, at) => {
        const row = output === 'loss' ? at : Math.floor(at / c)
        const [x, q] = [rowOf(logits, row), rowOf(targets, row)]
        const largest = Math.max(...x)
        const below = x.map((value) => value - largest)
        const e = below.map(Math.exp)
        const total = e.reduce((one, other) => one + other)
        const w = q.reduce((one, other) => one + other)
        // As softmax: an exponential has a rounded difference as argument and 4 units of its own.
        const relative = below.map((value) => unit * Math.abs(value) + 4 * unit)
        const ofTotal =
          e.reduce((sum, value, j) => sum + value * relative[j]!, 0) / total + gamma(c, precision)
        const ofW = gamma(c, precision)
        if (output === 'loss') {
          // The logarithm: 4 units, and the error of its argument. Then products and their sum.
          const log = Math.log(total)
          const products = q.reduce((sum, value, j) => sum + value * Math.abs(below[j]!), 0)
          return (
            w * (ofTotal + log * (4 * unit + ofW + 2 * unit)) +
            products * (gamma(c + 2, precision) + unit) +
            2 * c * smallest
          )
        }
        const i = at % c
        const p = (w * e[i]!) / total
        // The exponentials end at the smallest normal number.
        const ofP = relative[i]! + ofTotal + ofW + 3 * unit
        return p * ofP + unit * Math.abs(p - q[i]!) + (w * (c + 1) + 1) * 2 ** -126
      })
    },
  }
}

/** Returns targets that are 1 in one column of each row, smoothed. */
function smoothed(labels: ArrayLike<number>, c: number, alpha: number, weight = 1): Float32Array {
  const targets = new Float32Array(labels.length * c).fill((weight * alpha) / c)
  for (let row = 0; row < labels.length; row++)
    targets[row * c + labels[row]!] = weight * (1 - alpha + alpha / c)
  return targets
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 63, 64, 65, 400].map((c) => problem({ rows: 3, c })),
    ...[1, 2, 40].map((rows) => problem({ rows, c: 10 })),
    problem({ t: 3, rows: 4, c: 12 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

const hard = smoothed([0, 8, 3], 9, 0)
testOp(
  'extreme values',
  [
    problem({ name: 'equal logits', rows: 3, c: 9, logits: new Float32Array(27).fill(4) }),
    problem({ name: 'weight 0', rows: 3, c: 9, targets: new Float32Array(27) }),
    problem({ name: 'large weight', rows: 3, c: 9, targets: noise(27, 2, 1e6).map(Math.abs) }),
    problem({ name: 'one column', rows: 3, c: 9, targets: hard }),
    problem({ name: 'confident', rows: 3, c: 9, targets: hard, logits: hard.map((q) => 20 * q) }),
    problem({ name: 'wrong', rows: 3, c: 9, targets: hard, logits: hard.map((q) => -1e4 * q) }),
    problem({ name: 'large logits', rows: 3, c: 9, logits: noise(27, 1, 1e4) }),
    problem({ name: 'shifted', rows: 3, c: 9, logits: noise(27, 1).map((x) => x - 1e4) }),
    problem({ name: 'NaN in one row', rows: 3, c: 9, logits: noise(27, 1).fill(NaN, 13, 14) }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem({ t: 2, rows: 30, c: 174 }))

describe.each(fullTrainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^crossEntropy\/.*\/logits$/.test(name))

  test.each(cases.map((name) => name.slice(0, -'/logits'.length)))('%s', async (name) => {
    const { values: logits, shape } = goldens.get(`${name}/logits`)
    const [rows, c] = shape as [number, number]
    const alpha = name.includes('/hard/') ? 0 : 0.1
    // The loss is the mean over the rows.
    const targets = smoothed(goldens.get(`${name}/labels`).values, c, alpha, 1 / rows)
    const { outputs } = await runOp(create, problem({ rows, c, logits, targets }))
    const loss = outputs['loss']!.reduce((sum, value) => sum + value, 0)
    goldens.expect(`${name}/loss`, Float32Array.of(loss))
    goldens.expect(`${name}/dlogits`, outputs['dlogits']!)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.startsWith('crossEntropy/'))).toEqual([])
    console.log(goldens.report())
  })
})

test('the gradient is the slope of the loss', async () => {
  const [rows, c, step] = [4, 7, 2 ** -10]
  const logits = noise(rows * c, 1, 3)
  const run = async (of: Float32Array) =>
    (await runOp(trainingTeam.create, problem({ rows, c, logits: of }))).outputs
  const { dlogits } = await run(logits)
  for (let column = 0; column < c; column++) {
    const moved = (by: number) => logits.map((x, at) => (at % c === column ? x + by : x))
    const [above, below] = [await run(moved(step)), await run(moved(-step))]
    for (let row = 0; row < rows; row++)
      expect((above['loss']![row]! - below['loss']![row]!) / (2 * step)).toBeCloseTo(
        dlogits![row * c + column]!,
        2,
      )
  }
})
