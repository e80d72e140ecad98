import { afterAll, describe, expect, test } from 'vitest'
import type { Activation, Tensor } from '../src/program/program.ts'
import { backends, fullBackends } from './backends.ts'
import { type Golden, Goldens } from './goldens.ts'
import { gamma, noise, type OpCase, rowsWeight, runOp, testOp, type WeightInput } from './ops.ts'
import { gelu } from './reference.ts'

interface Problem {
  readonly name?: string
  readonly rows: number
  readonly k: number
  readonly n: number
  readonly bias?: boolean
  readonly activation?: Activation
  readonly activated?: number
  readonly multiply?: boolean
  readonly add?: boolean
  /** Rows of the table. */
  readonly table?: number
  /** Largest value of x. */
  readonly scale?: number
  readonly x?: Float32Array
  readonly kernel?: Float32Array
}

function problem(p: Problem): OpCase {
  const { rows, k, n, activation = 'none', activated = activation === 'none' ? 0 : n } = p
  const x = p.x ?? noise(rows * k, 1, p.scale)
  const kernel = p.kernel ?? noise(k * n, 2)
  const bias = p.bias ? noise(n, 3) : undefined
  const multiply = p.multiply ? noise(rows * n, 4) : undefined
  const add = p.add ? noise(rows * n, 5) : undefined
  const table = p.table ? noise(p.table * n, 6) : undefined
  const shape = [1, 1, rows, n]
  const parts = [
    bias && 'bias',
    activation !== 'none' && `${activation} ${activated}`,
    multiply && 'multiply',
    add && 'add',
    table && `table ${p.table}`,
  ]
  return {
    name: [p.name, `${rows}×${k}×${n}`, ...parts].filter(Boolean).join(', '),
    inputs: {
      x: { shape: [1, 1, rows, k], values: x },
      ...(multiply && { multiply: { shape, values: multiply } }),
      ...(add && { add: { shape, values: add } }),
    },
    weights: {
      kernel: matrix(k, n, kernel),
      ...(bias && { bias: rowsWeight(1, n, bias) }),
      ...(table && { table: rowsWeight(p.table!, n, table) }),
    },
    record: (ops, inputs) =>
      ops.linear('op', inputs['x'] as Tensor, 'kernel', {
        activation,
        activated,
        ...(bias && { bias: 'bias' }),
        ...(table && { table: 'table' }),
        ...(multiply && { multiply: inputs['multiply'] as Tensor }),
        ...(add && { add: inputs['add'] as Tensor }),
      }),
    // The error of each element: that of the sum, then what each later operation adds or
    // multiplies.
    bound: (precision, want) =>
      want.map((_, at) => {
        const { unit, smallest } = precision
        const [i, j] = [Math.floor(at / n), at % n]
        let z = bias?.[j] ?? 0
        let size = Math.abs(z)
        for (let l = 0; l < k; l++) {
          z += x[i * k + l]! * kernel[l * n + j]!
          size += Math.abs(x[i * k + l]! * kernel[l * n + j]!)
        }
        let error = gamma(k + 1, precision) * size + k * smallest
        if (j < activated) [z, error] = activate(activation, z, error, unit)
        if (multiply) {
          z *= multiply[at]!
          error = error * Math.abs(multiply[at]!) + unit * Math.abs(z)
        }
        for (const term of [add?.[at], table?.[(i % (p.table ?? 1)) * n + j]]) {
          if (term === undefined) continue
          z += term
          error += unit * (Math.abs(z) + error)
        }
        return error
      }),
  }
}

/**
 * Returns f(z) and its error. The slope of gelu is at most 1.13, that of tanh 1. In gelu the
 * argument of the exponential has 7 roundings and the exponential 4 units; a sum and a quotient
 * follow. The exponential ends at the smallest normal number, and gelu at x = −64. tanh has 6
 * units.
 */
function activate(
  activation: Activation,
  z: number,
  error: number,
  unit: number,
): [number, number] {
  if (activation === 'tanh') return [Math.tanh(z), error + 7 * unit * Math.abs(Math.tanh(z))]
  const argument = 2 * Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)
  return [
    gelu(z),
    1.13 * error +
      (gelu(z) && (7 * Math.abs(argument) + 7) * unit * Math.abs(gelu(z))) +
      Math.min(Math.abs(z), 64) * 2 ** -126,
  ]
}

function matrix(rows: number, columns: number, values: Float32Array): WeightInput {
  return { kind: 'matrix', blocks: 1, rows, columns, values }
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]
const both = [false, true]

testOp('around tiles of 5 × 8 and blocks of 100 and 200 rows and 768 k', [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((rows) => problem({ rows, k: 13, n: 11 })),
  ...sizes.map((k) => problem({ rows: 3, k, n: 9 })),
  ...sizes.map((n) => problem({ rows: 6, k: 5, n })),
  ...[99, 100, 101, 102, 103, 197, 198, 199, 200, 201, 204, 205, 396, 400, 401].map((rows) =>
    problem({ rows, k: 3, n: 9, bias: true, table: 197 }),
  ),
  ...[511, 512, 513, 767, 768, 769, 1023, 1024, 1025].map((k) =>
    problem({ rows: 6, k, n: 18, bias: true, activation: 'tanh' }),
  ),
  problem({
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
    ...[3, 4, 5, 8, 9, 39, 40, 41, 81].map((rows) => problem({ rows, k: 20, n: 8, bias: true })),
    ...[4, 12, 16, 20, 28, 32, 36, 60, 64, 68, 128, 132].flatMap((k) =>
      [2, 20].map((rows) => problem({ rows, k, n: 12 })),
    ),
    ...[28, 32, 36, 60, 63, 64, 65, 68, 132].flatMap((n) =>
      [2, 20].map((rows) => problem({ rows, k: 8, n, bias: true, add: true, table: 3 })),
    ),
    problem({
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
            problem({ rows: 7, k: 6, n: 11, bias, multiply, add, table, activation }),
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
      problem({ rows: 2, k: 3, n: 19, bias: true, activation, activated }),
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
  problem({ name: 'zeros', rows: 3, k: 9, n: 9, x: new Float32Array(27), bias: true }),
  problem({
    name: 'denormals',
    rows: 3,
    k: 9,
    n: 9,
    scale: 1e-39,
    kernel: new Float32Array(81).fill(1),
  }),
  problem({
    name: 'products below the smallest number',
    rows: 3,
    k: 9,
    n: 9,
    scale: 1e-30,
    kernel: noise(81, 7, 1e-15),
  }),
  problem({ name: 'large', rows: 3, k: 9, n: 9, scale: 1e18, kernel: noise(81, 7, 1e18) }),
  problem({
    name: 'overflow',
    rows: 3,
    k: 9,
    n: 9,
    x: noise(27, 1).map((value) => 1e30 * (1 + Math.abs(value))),
    kernel: noise(81, 7).map((_, i) => (i % 9 < 4 ? 1e30 : -1e30)),
  }),
  problem({
    name: 'cancellation',
    rows: 2,
    k: 8,
    n: 9,
    x: Float32Array.of(1e8, 1, -1e8, 1, 1e7, 3, -1e7, 1, 1, 1e8, 1, -1e8, 1, 1, 1, 1),
    kernel: new Float32Array(72).fill(1),
  }),
  problem({
    name: 'NaN and infinity stay in their rows',
    rows: 7,
    k: 5,
    n: 9,
    x: noise(35, 1).map((value, i) => (i === 12 ? NaN : i === 26 ? Infinity : value)),
    bias: true,
  }),
  ...(['gelu', 'tanh'] as const).map((activation) =>
    problem({
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
      problem({
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
          ...problem({ rows, k, n, x: a.values, kernel: b.values }),
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
        problem({ rows: x.length, k: 1, n: 1, x, kernel: Float32Array.of(1), activation }),
      )
      functions.expect(`${name}/${activation}`, output)
    }
  })

  afterAll(() => {
    expect(products.unseen).toEqual([])
    console.log(`${products.report()}\n${functions.report()}`)
  })
})
