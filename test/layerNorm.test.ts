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
  readonly bias?: Float32Array
}

function problem({ name = '', rows, d, ...given }: Problem): OpCase {
  const { x = noise(rows * d, 1, 3), scale = noise(d, 2), bias = noise(d, 3) } = given
  return {
    name: `${name} ${rows}×${d}`.trim(),
    inputs: { x: { shape: [1, 1, rows, d], values: x } },
    weights: { scale: rowsWeight(1, d, scale), bias: rowsWeight(1, d, bias) },
    record: (ops, inputs) => ops.layerNorm('op', inputs['x']!, 'scale', 'bias'),
    bound: (precision, want) => {
      const { unit } = precision
      const bounds = new Float64Array(want.length)
      for (let row = 0; row < rows; row++) {
        const values = Array.from(x.subarray(row * d, (row + 1) * d))
        const mean = values.reduce((sum, value) => sum + value, 0) / d
        const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d
        // The error of the mean is `shift`. It moves every x − μ equally, so the variance changes
        // only by shift², in addition to the rounding errors of its own sum.
        const shift =
          (gamma(d + 1, precision) * values.reduce((sum, value) => sum + Math.abs(value), 0)) / d
        const deviation = Math.sqrt(variance + 1e-6)
        const relative =
          (shift ** 2 + gamma(d + 6, precision) * (variance + 1e-6)) / (2 * deviation ** 2) + unit
        values.forEach((value, c) => {
          const centred = value - mean
          const product = (centred / deviation) * scale[c]!
          const offCentre = shift + unit * (Math.abs(centred) + shift)
          bounds[row * d + c] =
            Math.abs(scale[c]! / deviation) * offCentre +
            Math.abs(product) * (relative + 2 * unit) +
            unit * Math.abs(product + bias[c]!) +
            precision.smallest
        })
      }
      return bounds
    },
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
    problem({ name: 'constant', rows: 2, d: 16, x: new Float32Array(32).fill(3) }),
    problem({ name: 'denormals', rows: 2, d: 9, x: noise(18, 1, 1e-39) }),
    problem({ name: 'near epsilon', rows: 2, d: 9, x: noise(18, 1, 1e-3) }),
    problem({
      name: 'mean 1000, deviation 1',
      rows: 3,
      d: 64,
      x: noise(192, 1).map((value) => 1000 + value),
    }),
    problem({ name: 'large', rows: 2, d: 9, x: noise(18, 1, 1e18) }),
    problem({
      name: 'NaN stays in its row',
      rows: 3,
      d: 9,
      x: noise(27, 1).map((value, i) => (i === 13 ? NaN : value)),
    }),
    problem({
      name: 'infinity gives NaN',
      rows: 3,
      d: 9,
      x: noise(27, 1).map((value, i) => (i === 13 ? Infinity : value)),
    }),
  ],
  fullBackends,
)

describe.each(fullBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_norm.npz')

  test.each(goldens.names.filter((name) => name.endsWith('/x')))('%s', async (name) => {
    const [x, scale, bias] = ['x', 'scale', 'bias'].map((part) =>
      goldens.get(name.replace(/x$/, part)),
    )
    const d = scale!.values.length
    const { output } = await runOp(
      create,
      problem({
        rows: x!.values.length / d,
        d,
        x: x!.values,
        scale: scale!.values,
        bias: bias!.values,
      }),
    )
    goldens.expect(name.replace(/x$/, 'layernorm'), output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.endsWith('layernorm'))).toEqual([])
    console.log(goldens.report())
  })
})
