import { afterAll, describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { Goldens } from './goldens.ts'
import {
  framesOf,
  gamma,
  noise,
  type OpCase,
  rowsWeight,
  runOp,
  testOp,
  testSplits,
} from './ops.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t: number
  readonly n?: number
  readonly e: number
  readonly k: number
  readonly x?: Float32Array
  readonly kernel?: Float32Array
  readonly bias?: Float32Array
  /** Inputs before the chunk [b, k−1, n, e]; default zeros. */
  readonly past?: Float32Array
}

function problem({ name = '', b = 1, t, n = 1, e, k, past, ...given }: Problem): OpCase {
  const { x = noise(b * t * n * e, 1), kernel = noise(k * e, 2), bias = noise(e, 3) } = given
  return {
    name: (
      `${name} ${b}×${t} frames, ${n} tokens, ${e} channels, ` +
      `${k} taps${past ? ', with a past' : ''}`
    ).trim(),
    b,
    t,
    inputs: { x: { shape: [b, t, n, e], values: x } },
    weights: { kernel: rowsWeight(k, e, kernel), bias: rowsWeight(1, e, bias) },
    ...(past && { frame: 7, states: [past] }),
    record: (ops, inputs) => ops.conv1d('op', inputs['x']!, 'kernel', 'bias'),
    // A sum of k products, then a bias. The past is a copy, so its bound is 0.
    bound: (precision, want) =>
      want.map((_, at) => {
        const [video, frame, token, c] = [
          Math.floor(at / (t * n * e)),
          Math.floor(at / (n * e)) % t,
          Math.floor(at / e) % n,
          at % e,
        ]
        let size = Math.abs(bias[c]!)
        for (let j = 0; j < k; j++) {
          const before = frame - j
          const input =
            before >= 0
              ? x[((video * t + before) * n + token) * e + c]!
              : (past?.[((video * (k - 1) + k - 1 + before) * n + token) * e + c] ?? 0)
          size += Math.abs(kernel[(k - 1 - j) * e + c]! * input)
        }
        return gamma(k + 1, precision) * size + k * precision.smallest
      }),
  }
}

testOp('sizes', [
  ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17].map((e) => problem({ t: 2, n: 3, e, k: 4 })),
  ...[1, 2, 3, 4, 5, 9].flatMap((t) =>
    [1, 2, 3, 4, 5].map((k) =>
      problem({ b: 2, t, n: 2, e: 6, k, past: noise(2 * (k - 1) * 2 * 6, 4) }),
    ),
  ),
  ...[1, 2, 3, 4, 5].map((t) =>
    problem({ b: 2, t, n: 2, e: 21, k: 4, past: noise(2 * 3 * 2 * 21, 4) }),
  ),
  problem({ b: 3, t: 5, n: 17, e: 33, k: 4 }),
])

testOp('extreme values', [
  problem({ name: 'zeros', t: 3, e: 5, k: 4, x: new Float32Array(15), bias: new Float32Array(5) }),
  problem({
    name: 'denormals',
    t: 3,
    e: 5,
    k: 4,
    x: noise(15, 1, 1e-39),
    bias: noise(5, 3, 1e-39),
    kernel: new Float32Array(20).fill(1),
  }),
  problem({
    name: 'overflow',
    t: 3,
    e: 5,
    k: 4,
    x: noise(15, 1, 3e38).map(Math.abs),
    kernel: noise(20, 2, 3).map(Math.abs),
  }),
  problem({
    name: 'NaN leaves after k frames',
    t: 6,
    e: 5,
    k: 4,
    x: noise(30, 1).map((value, i) => (i === 2 ? NaN : value)),
  }),
])

for (const [k, e] of [
  [1, 5],
  [2, 5],
  [4, 5],
  [4, 21],
] as const) {
  const x = { shape: [2, 5, 3, e], values: noise(2 * 5 * 3 * e, 1) }
  testSplits(`splits with ${k} taps of ${e} channels`, 5, (from, to) =>
    problem({ b: 2, t: to - from, n: 3, e, k, x: framesOf(x, from, to).values as Float32Array }),
  )
}

describe.each(backends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_recurrent.npz')

  test.each(
    goldens.names.filter((name) => /^conv1d.*x$/.test(name)).map((name) => name.slice(0, -2)),
  )('%s', async (name) => {
    const [first, second, w, bias] = ['x', 'x2', 'w', 'b'].map((part) =>
      goldens.get(`${name}/${part}`),
    )
    const [b, t, e] = first!.shape as [number, number, number]
    const common = { b, e, k: w!.shape[0]!, kernel: w!.values, bias: bias!.values }
    const one = await runOp(create, problem({ ...common, t, x: first!.values }))
    const two = await runOp(
      create,
      problem({ ...common, t: second!.shape[1]!, x: second!.values, past: one.states[0]! }),
    )
    goldens.expect(`${name}/y`, one.output)
    goldens.expect(`${name}/state`, one.states[0]!)
    goldens.expect(`${name}/y2`, two.output)
    goldens.expect(`${name}/state2`, two.states[0]!)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => name.startsWith('conv1d'))).toEqual([])
    console.log(goldens.report())
  })
})
