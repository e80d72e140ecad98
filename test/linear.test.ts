import { afterAll, describe, expect, test } from 'vitest'
import { backends, fullBackends } from './backends.ts'
import { type Golden, Goldens } from './goldens.ts'
import { noise, rowsWeight, runOp, testOp } from './ops.ts'
import { linearCase, matrix } from './products.ts'

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]
const both = [false, true]

testOp('around tiles of 5 × 8 and blocks of 100 and 200 rows and 768 k', [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((rows) => linearCase({ rows, k: 13, n: 11 })),
  ...sizes.map((k) => linearCase({ rows: 3, k, n: 9 })),
  ...sizes.map((n) => linearCase({ rows: 6, k: 5, n })),
  ...[99, 100, 101, 102, 103, 197, 198, 199, 200, 201, 204, 205, 396, 400, 401].map((rows) =>
    linearCase({ rows, k: 3, n: 9, bias: true, table: 197 }),
  ),
  ...[511, 512, 513, 767, 768, 769, 1023, 1024, 1025].map((k) =>
    linearCase({ rows: 6, k, n: 18, bias: true, activation: 'tanh' }),
  ),
  linearCase({
    rows: 203,
    k: 1030,
    n: 12,
    bias: true,
    activation: 'gelu',
    activated: 9,
    multiply: true,
    add: true,
    table: 7,
  }),
])

testOp(
  'sizes around 8 rows, tiles of 40 × 32 and stages of 32 or 64 k',
  [
    ...[3, 4, 5, 8, 9, 39, 40, 41, 81].map((rows) => linearCase({ rows, k: 20, n: 8, bias: true })),
    ...[4, 12, 16, 20, 28, 32, 36, 60, 64, 68, 128, 132].flatMap((k) =>
      [2, 20].map((rows) => linearCase({ rows, k, n: 12 })),
    ),
    ...[28, 32, 36, 60, 63, 64, 65, 68, 132].flatMap((n) =>
      [2, 20].map((rows) => linearCase({ rows, k: 8, n, bias: true, add: true, table: 3 })),
    ),
    linearCase({
      rows: 50,
      k: 72,
      n: 72,
      bias: true,
      activation: 'gelu',
      activated: 36,
      multiply: true,
      add: true,
      table: 7,
    }),
  ],
  fullBackends,
)

testOp(
  'every epilogue',
  both.flatMap((bias) =>
    both.flatMap((multiply) =>
      both.flatMap((add) =>
        [0, 1, 3, 7].flatMap((table) =>
          (['none', 'gelu', 'tanh'] as const).map((activation) =>
            linearCase({ rows: 7, k: 6, n: 11, bias, multiply, add, table, activation }),
          ),
        ),
      ),
    ),
  ),
)

testOp(
  'the last activated column at any place in a panel',
  (['gelu', 'tanh'] as const).flatMap((activation) =>
    Array.from({ length: 20 }, (_, activated) =>
      linearCase({ rows: 2, k: 3, n: 19, bias: true, activation, activated }),
    ),
  ),
)

const line = Float32Array.of(
  0,
  -0,
  1e-45,
  -1e-45,
  1e-39,
  -1e-39,
  1e-20,
  -1e-20,
  1e-6,
  -1e-6,
  0.3,
  -0.3,
  0.62499994,
  0.625,
  -0.625,
  2,
  -2,
  9,
  -9,
  13.5,
  -13.5,
  43,
  -43,
  64,
  -64,
  65,
  -65,
  88,
  -88,
  89,
  -89,
  200,
  -200,
  1e6,
  -1e6,
  1e13,
  -1e13,
  1e30,
  -1e30,
  3e38,
  -3e38,
  Infinity,
  -Infinity,
  NaN,
)
testOp('extreme values', [
  linearCase({ name: 'zeros', rows: 3, k: 9, n: 9, x: new Float32Array(27), bias: true }),
  linearCase({
    name: 'denormals',
    rows: 3,
    k: 9,
    n: 9,
    scale: 1e-39,
    kernel: new Float32Array(81).fill(1),
  }),
  linearCase({
    name: 'products below the smallest number',
    rows: 3,
    k: 9,
    n: 9,
    scale: 1e-30,
    kernel: noise(81, 7, 1e-15),
  }),
  linearCase({ name: 'large', rows: 3, k: 9, n: 9, scale: 1e18, kernel: noise(81, 7, 1e18) }),
  linearCase({
    name: 'overflow',
    rows: 3,
    k: 9,
    n: 9,
    x: noise(27, 1).map((value) => 1e30 * (1 + Math.abs(value))),
    kernel: noise(81, 7).map((_, i) => (i % 9 < 4 ? 1e30 : -1e30)),
  }),
  linearCase({
    name: 'cancellation',
    rows: 2,
    k: 8,
    n: 9,
    x: Float32Array.of(1e8, 1, -1e8, 1, 1e7, 3, -1e7, 1, 1, 1e8, 1, -1e8, 1, 1, 1, 1),
    kernel: new Float32Array(72).fill(1),
  }),
  linearCase({
    name: 'NaN and infinity stay in their rows',
    rows: 7,
    k: 5,
    n: 9,
    x: noise(35, 1).map((value, i) => (i === 12 ? NaN : i === 26 ? Infinity : value)),
    bias: true,
  }),
  ...(['gelu', 'tanh'] as const).map((activation) =>
    linearCase({
      name: 'extreme',
      rows: line.length,
      k: 1,
      n: 5,
      x: line,
      kernel: new Float32Array(5).fill(1),
      activation,
    }),
  ),
])

testOp(
  'activations over a wide range',
  (['gelu', 'tanh'] as const).flatMap((activation) =>
    [1, 15, 100].map((scale) =>
      linearCase({
        name: `up to ±${scale}`,
        rows: 3000,
        k: 1,
        n: 1,
        scale,
        kernel: Float32Array.of(1),
        activation,
      }),
    ),
  ),
)

describe.each(backends)('goldens on $name', async ({ create }) => {
  const products = await Goldens.open('ops_matmul.npz')
  const functions = await Goldens.open('ops_activation.npz')

  test.each(products.names.filter((name) => name.endsWith('/a')).map((name) => name.slice(0, -2)))(
    '%s',
    async (name) => {
      const [a, b, bias] = ['a', 'b', 'bias'].map((part) => products.get(`${name}/${part}`)) as [
        Golden,
        Golden,
        Golden,
      ]
      const [rows, k] = a.shape as [number, number]
      const n = b.shape[1]!
      for (const [expected, options] of [
        ['c', {}],
        ['d', { bias: 'bias' }],
      ] as const) {
        const { output } = await runOp(create, {
          ...linearCase({ rows, k, n, x: a.values, kernel: b.values }),
          weights: { kernel: matrix(k, n, b.values), bias: rowsWeight(1, n, bias.values) },
          record: (ops, { x }) => ops.linear('op', x!, 'kernel', options),
        })
        products.expect(`${name}/${expected}`, output)
      }
    },
  )

  test.each(['grid', 'extreme'])('%s', async (name) => {
    const x = functions.get(`${name}/x`).values
    for (const activation of ['gelu', 'tanh'] as const) {
      const { output } = await runOp(
        create,
        linearCase({ rows: x.length, k: 1, n: 1, x, kernel: Float32Array.of(1), activation }),
      )
      functions.expect(`${name}/${activation}`, output)
    }
  })

  afterAll(() => {
    expect(products.unseen).toEqual([])
    console.log(`${products.report()}\n${functions.report()}`)
  })
})
