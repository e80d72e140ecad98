import { afterAll, describe, test } from 'vitest'
import { backends, fullBackends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { noise, runOp, testOp } from './ops.ts'
import { blockLinearCase } from './products.ts'

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]
testOp(
  'sizes around tiles of 5 × 8 and 40 × 32',
  [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((rows) =>
      blockLinearCase({ rows, blocks: 2, k: 6, n: 12 }),
    ),
    ...sizes.map((k) => blockLinearCase({ rows: 3, blocks: 3, k, n: 2 * k })),
    ...sizes.map((n) => blockLinearCase({ rows: 6, blocks: 2, k: 5, n })),
    blockLinearCase({ rows: 201, blocks: 1, k: 4, n: 9 }),
    blockLinearCase({ rows: 65, blocks: 2, k: 20, n: 68 }),
    blockLinearCase({ rows: 65, blocks: 2, k: 18, n: 65 }),
    blockLinearCase({ rows: 2, blocks: 5, k: 130, n: 3 }),
    ...[39, 40, 41].map((rows) => blockLinearCase({ rows, blocks: 3, k: 36, n: 36 })),
  ],
  fullBackends,
)

testOp('extreme values', [
  blockLinearCase({ name: 'zeros', rows: 2, blocks: 2, k: 4, n: 9, x: new Float32Array(16) }),
  blockLinearCase({
    name: 'denormals',
    rows: 2,
    blocks: 2,
    k: 4,
    n: 9,
    x: noise(16, 1, 1e-39),
    kernel: new Float32Array(72).fill(1),
    bias: noise(18, 3, 1e-39),
  }),
  blockLinearCase({
    name: 'overflow',
    rows: 2,
    blocks: 2,
    k: 4,
    n: 9,
    x: new Float32Array(16).fill(3e30),
    kernel: noise(72, 2).map((value, i) => (i % 2 ? 1e30 : value)),
  }),
  blockLinearCase({
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
        blockLinearCase({
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
