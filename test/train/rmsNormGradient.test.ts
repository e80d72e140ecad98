import { afterAll, describe, expect, test } from 'vitest'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly n: number
  readonly d: number
  readonly x?: Float32Array
  readonly dy?: Float32Array
  readonly scale?: Float32Array
}

/** Rows of a partial sum of dscale. */
const PART = 64

function problem({
  name = '',
  t = 1,
  n,
  d,
  x = noise(t * n * d, 1, 3),
  dy = noise(t * n * d, 3),
  scale = noise(d, 2, 2),
}: Problem): OpCase {
  const rows = t * n
  const rowOf = (values: Float32Array, row: number) => values.subarray(row * d, (row + 1) * d)
  /** 1 / r and mean |q·x̂| of each row. */
  const norms = Array.from({ length: rows }, (_, row) => {
    const squares = rowOf(x, row).reduce((sum, value) => sum + value ** 2, 0)
    const inverse = 1 / Math.sqrt(squares / d + 1e-6)
    const product = rowOf(x, row).reduce(
      (sum, value, i) => sum + Math.abs(value * inverse * rowOf(dy, row)[i]! * (1 + scale[i]!)),
      0,
    )
    return { inverse, mean: product / d }
  })
  return {
    ...{ name: `${name} ${t}×${n}×${d}`.trim(), t },
    inputs: { x: { shape: [1, t, n, d], values: x }, dy: { shape: [1, t, n, d], values: dy } },
    weights: { scale: rowsWeight(1, d, scale) },
    record: (ops, inputs) => ops.rmsNormGradient('op', inputs['x']!, inputs['dy']!, 'scale'),
    bound(precision, want, output) {
      const { unit, smallest } = precision
      // 1 / r: d squares and their sum, a quotient, 1e-6 and its addition, halved by the root. Then
      // root and quotient. Values lost by underflow would be divided by at least 1e-3.
      const ofNorm = gamma(d + 4, precision) / 2 + 2 * unit
      if (output === 'dscale')
        return want.map((_, at) => {
          const first = Math.floor(at / d) * PART
          let sum = 0
          for (let row = first; row < Math.min(first + PART, rows); row++)
            sum += Math.abs(rowOf(x, row)[at % d]! * norms[row]!.inverse * rowOf(dy, row)[at % d]!)
          return sum * (ofNorm + gamma(PART + 1, precision)) + 2e3 * smallest * PART
        })
      // q: two roundings, a difference, a quotient. x̂·mean: a sum of d products, and x̂ and r
      // twice.
      return want.map((_, at) => {
        const { inverse, mean } = norms[Math.floor(at / d)]!
        const q = Math.abs(dy[at]! * (1 + scale[at % d]!))
        const second = Math.abs(x[at]! * inverse) * mean
        return (
          inverse * (q * (4 * unit + ofNorm) + second * (gamma(d + 10, precision) + 3 * ofNorm)) +
          2e3 * smallest * (1 + Math.abs(1 + scale[at % d]!))
        )
      })
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 63, 64, 65, 96, 258, 771].map((d) => problem({ n: 3, d })),
    ...[1, 2, 63, 64, 65, 200].map((n) => problem({ n, d: 10 })),
    problem({ t: 3, n: 50, d: 12 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ name: 'zeros', n: 2, d: 9, x: new Float32Array(18) }),
    problem({ name: 'no gradient', n: 2, d: 9, dy: new Float32Array(18) }),
    problem({ name: 'denormals', n: 2, d: 9, x: noise(18, 1, 1e-39) }),
    problem({ name: 'squares below the smallest number', n: 2, d: 9, x: noise(18, 1, 1e-25) }),
    problem({ name: 'near epsilon', n: 2, d: 9, x: noise(18, 1, 1e-3) }),
    problem({ name: 'large', n: 2, d: 9, x: noise(18, 1, 1e18) }),
    problem({ name: 'large gradient', n: 2, d: 9, dy: noise(18, 3, 1e30) }),
    problem({ name: 'scale −1', n: 2, d: 9, scale: new Float32Array(9).fill(-1) }),
    problem({
      name: 'NaN stays in its row of dx',
      n: 3,
      d: 9,
      x: noise(27, 1).map((value, i) => (i === 13 ? NaN : value)),
    }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

describe.each(fullTrainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^rmsNorm\/.*\/x$/.test(name))

  test.each(cases.map((name) => name.slice(0, -2)))('%s', async (name) => {
    const [x, dy, scale] = ['x', 'dy', 'scale'].map((part) => goldens.get(`${name}/${part}`).values)
    const d = scale!.length
    const { outputs } = await runOp(
      create,
      problem({ n: x!.length / d, d, x: x!, dy: dy!, scale: scale! }),
    )
    goldens.expect(`${name}/dx`, outputs['dx']!)
    // Fewer than 64 rows are a single partial sum.
    goldens.expect(`${name}/dscale`, outputs['dscale']!)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^rmsNorm.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
