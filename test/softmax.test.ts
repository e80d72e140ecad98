import { afterAll, describe, expect, test } from 'vitest'
import { fullBackends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from './ops.ts'

interface Problem {
  readonly name?: string
  readonly rows: number
  readonly n: number
  readonly x?: Float32Array
}

function problem({ name = '', rows, n, x = noise(rows * n, 1, 5) }: Problem): OpCase {
  return {
    name: `${name} ${rows}×${n}`.trim(),
    inputs: { x: { shape: [1, 1, rows, n], values: x } },
    record: (ops, inputs) => ops.softmax('op', inputs['x']!),
    bound: (precision, want) => {
      const { unit } = precision
      const bounds = new Float64Array(want.length)
      for (let row = 0; row < rows; row++) {
        const part = (of: Float32Array) => Array.from(of.subarray(row * n, (row + 1) * n))
        const largest = Math.max(...part(x))
        const p = part(want)
        // Each exponential has a rounded difference as argument and 4 units of its own. Then come
        // their sum and a quotient. Exponentials end at the smallest normal number.
        const relative = part(x).map((value, j) =>
          p[j] ? unit * Math.abs(value - largest) + 4 * unit : 0,
        )
        const total =
          p.reduce((sum, value, j) => sum + value * relative[j]!, 0) + gamma(n, precision)
        p.forEach(
          (value, j) =>
            (bounds[row * n + j] = value * (relative[j]! + total + 2 * unit) + (n + 1) * 2 ** -126),
        )
      }
      return bounds
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 400].map((n) => problem({ rows: 3, n })),
    ...[1, 2, 4, 11].map((rows) => problem({ rows, n: 7 })),
  ],
  fullBackends,
)

const around = (center: number, spread: number) =>
  noise(27, 1, spread).map((value) => center + value)
testOp(
  'extreme values',
  [
    problem({ name: 'equal', rows: 3, n: 9, x: new Float32Array(27).fill(-7) }),
    problem({ name: 'zeros and denormals', rows: 3, n: 9, x: noise(27, 1, 1e-39) }),
    problem({ name: 'far above 0', rows: 3, n: 9, x: around(3e4, 3) }),
    problem({ name: 'far below 0', rows: 3, n: 9, x: around(-3e4, 3) }),
    problem({ name: 'spread over 200', rows: 3, n: 9, x: around(0, 100) }),
    problem({ name: 'spread over 1e30', rows: 3, n: 9, x: around(0, 1e30) }),
    problem({
      name: 'largest in the last column',
      rows: 1,
      n: 9,
      x: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 99),
    }),
    problem({
      name: 'two largest in any columns',
      rows: 35,
      n: 35,
      x: noise(35 * 35, 1).map((value, i) => (i % 36 < 2 ? 300 - (i % 36) : value)),
    }),
    problem({
      name: '−infinity',
      rows: 3,
      n: 9,
      x: noise(27, 1).map((value, i) => (i % 9 === 4 || i % 9 === 8 ? -Infinity : value)),
    }),
    problem({
      name: 'NaN and infinity stay in their row',
      rows: 3,
      n: 9,
      x: noise(27, 1).map((value, i) => (i === 3 ? NaN : i === 26 ? Infinity : value)),
    }),
  ],
  fullBackends,
)

describe.each(fullBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_activation.npz')

  test.each(goldens.names.filter((name) => /^softmax.*\/x$/.test(name)))('%s', async (name) => {
    const { shape, values } = goldens.get(name)
    const { output } = await runOp(create, problem({ rows: shape[0]!, n: shape[1]!, x: values }))
    goldens.expect(name.replace(/x$/, 'softmax'), output)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.startsWith('softmax'))).toEqual([])
    console.log(goldens.report())
  })
})
