import { afterAll, describe, expect, test } from 'vitest'
import { fullBackends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { gamma, noise, type OpCase, rowsWeight, runOp, testOp } from './ops.ts'

interface Problem {
  readonly name?: string
  readonly rows: number
  readonly d: number
  readonly x?: Float32Array
  readonly scale?: Float32Array
}

function problem({
  name = '',
  rows,
  d,
  x = noise(rows * d, 1, 3),
  scale = noise(d, 2, 2),
}: Problem): OpCase {
  return {
    name: `${name} ${rows}×${d}`.trim(),
    inputs: { x: { shape: [1, 1, rows, d], values: x } },
    weights: { scale: rowsWeight(1, d, scale) },
    record: (ops, inputs) => ops.rmsNorm('op', inputs['x']!, 'scale'),
    // d squares and their sum, a quotient, 1e-6 and its addition, halved by the root. Then root,
    // quotient, product, and the sum 1 + scale. Values lost by underflow would be divided by at
    // least 1e-3.
    bound: (precision, want) =>
      want.map((value, at) => {
        const scaled = 1 + scale[at % d]!
        return (
          Math.abs(value) *
            (gamma(d + 4, precision) / 2 + 4 * precision.unit + (scaled && precision.unit)) +
          precision.smallest * (1 + 1e3 * Math.abs(scaled))
        )
      }),
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 96, 193, 258, 516, 771, 1024, 1027, 1340].map((d) =>
      problem({ rows: 3, d }),
    ),
    ...[1, 2, 5, 17].map((rows) => problem({ rows, d: 10 })),
  ],
  fullBackends,
)

testOp(
  'extreme values',
  [
    problem({ name: 'zeros', rows: 2, d: 9, x: new Float32Array(18) }),
    problem({ name: 'denormals', rows: 2, d: 9, x: noise(18, 1, 1e-39) }),
    problem({ name: 'squares below the smallest number', rows: 2, d: 9, x: noise(18, 1, 1e-25) }),
    problem({ name: 'near epsilon', rows: 2, d: 9, x: noise(18, 1, 1e-3) }),
    problem({ name: 'large', rows: 2, d: 9, x: noise(18, 1, 1e18) }),
    problem({ name: 'scale −1', rows: 2, d: 9, scale: new Float32Array(9).fill(-1) }),
    problem({ name: 'scale near −1', rows: 2, d: 9, scale: new Float32Array(9).fill(-0.9999999) }),
    problem({
      name: 'NaN stays in its row',
      rows: 3,
      d: 9,
      x: noise(27, 1).map((value, i) => (i === 13 ? NaN : value)),
    }),
  ],
  fullBackends,
)

describe.each(fullBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_norm.npz')

  test.each(goldens.names.filter((name) => name.endsWith('/x')))('%s', async (name) => {
    const x = goldens.get(name)
    const d = x.shape[x.shape.length - 1]!
    const { output } = await runOp(
      create,
      problem({
        rows: x.values.length / d,
        d,
        x: x.values,
        scale: goldens.get(name.replace(/x$/, 'scale')).values,
      }),
    )
    goldens.expect(name.replace(/x$/, 'rmsnorm'), output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.endsWith('rmsnorm'))).toEqual([])
    console.log(goldens.report())
  })
})
