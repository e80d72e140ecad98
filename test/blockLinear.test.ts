import { afterAll, describe, test } from 'vitest'
import { backends, fullBackends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from './ops.ts'

interface Problem {
  readonly name?: string
  readonly rows: number
  readonly blocks: number
  readonly k: number
  readonly n: number
  readonly x?: Float32Array
  readonly kernel?: Float32Array
  readonly bias?: Float32Array
}

function problem({ name = '', rows, blocks, k, n, ...given }: Problem): OpCase {
  const {
    x = noise(rows * blocks * k, 1),
    kernel = noise(blocks * k * n, 2),
    bias = noise(blocks * n, 3),
  } = given
  return {
    name: `${name} ${rows} rows, ${blocks} blocks of ${k}×${n}`.trim(),
    inputs: { x: { shape: [1, 1, rows, blocks * k], values: x } },
    weights: {
      kernel: { kind: 'matrix', blocks, rows: k, columns: n, values: kernel },
      bias: { kind: 'rows', blocks, rows: 1, columns: n, values: bias },
    },
    record: (ops, inputs) => ops.blockLinear('op', inputs['x']!, 'kernel', 'bias'),
    // A sum of k products, then a bias.
    bound: (precision, want) =>
      want.map((_, at) => {
        const [i, q, o] = [Math.floor(at / (blocks * n)), Math.floor(at / n) % blocks, at % n]
        let size = Math.abs(bias[q * n + o]!)
        for (let l = 0; l < k; l++)
          size += Math.abs(x[(i * blocks + q) * k + l]! * kernel[(q * k + l) * n + o]!)
        return gamma(k + 1, precision) * size + k * precision.smallest
      }),
  }
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]
testOp(
  'sizes around tiles of 5 × 8 and 40 × 32',
  [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((rows) => problem({ rows, blocks: 2, k: 6, n: 12 })),
    ...sizes.map((k) => problem({ rows: 3, blocks: 3, k, n: 2 * k })),
    ...sizes.map((n) => problem({ rows: 6, blocks: 2, k: 5, n })),
    problem({ rows: 201, blocks: 1, k: 4, n: 9 }),
    problem({ rows: 65, blocks: 2, k: 20, n: 68 }),
    problem({ rows: 65, blocks: 2, k: 18, n: 65 }),
    problem({ rows: 2, blocks: 5, k: 130, n: 3 }),
    ...[39, 40, 41].map((rows) => problem({ rows, blocks: 3, k: 36, n: 36 })),
  ],
  fullBackends,
)

testOp('extreme values', [
  problem({ name: 'zeros', rows: 2, blocks: 2, k: 4, n: 9, x: new Float32Array(16) }),
  problem({
    name: 'denormals',
    rows: 2,
    blocks: 2,
    k: 4,
    n: 9,
    x: noise(16, 1, 1e-39),
    kernel: new Float32Array(72).fill(1),
    bias: noise(18, 3, 1e-39),
  }),
  problem({
    name: 'overflow',
    rows: 2,
    blocks: 2,
    k: 4,
    n: 9,
    x: new Float32Array(16).fill(3e30),
    kernel: noise(72, 2).map((value, i) => (i % 2 ? 1e30 : value)),
  }),
  problem({
    name: 'NaN and infinity stay in their block and row',
    rows: 6,
    blocks: 3,
    k: 4,
    n: 9,
    x: noise(72, 1).map((value, i) => (i === 5 ? NaN : i === 70 ? Infinity : value)),
  }),
])

describe.each(backends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_recurrent.npz')

  test.each(goldens.names.filter((name) => /^block_diagonal.*x$/.test(name)))(
    '%s',
    async (name) => {
      const [x, w, b] = ['x', 'w', 'b'].map((part) => goldens.get(name.replace(/x$/, part)))
      const [blocks, k, n] = w!.shape as [number, number, number]
      const { output } = await runOp(
        create,
        problem({
          rows: x!.shape[0]!,
          blocks,
          k,
          n,
          x: x!.values,
          kernel: w!.values,
          bias: b!.values,
        }),
      )
      goldens.expect(name.replace(/x$/, 'y'), output)
    },
  )

  afterAll(() => console.log(goldens.report()))
})
