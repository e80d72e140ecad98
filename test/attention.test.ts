import { afterAll, describe, expect, test } from 'vitest'
import { attentionWeights } from './attentionWeights.ts'
import { backends } from './backends.ts'
import { Goldens } from './goldens.ts'
import { gamma, noise, type OpCase, runOp, testOp } from './ops.ts'
import { softmaxOf } from './reference.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  /** Rows of q; default n. */
  readonly nq?: number
  readonly n: number
  readonly heads: number
  readonly r: number
  readonly q?: Float32Array
  readonly k?: Float32Array
  readonly v?: Float32Array
}

function problem({ name = '', b = 1, t = 1, n, nq = n, heads, r, ...given }: Problem): OpCase {
  const d = heads * r
  const {
    q = noise(b * t * nq * d, 1, 2),
    k = noise(b * t * n * d, 2, 2),
    v = noise(b * t * n * d, 3),
  } = given
  return {
    name: `${name} ${b}×${t} frames, ${nq} of ${n} tokens, ${heads} heads of ${r}`.trim(),
    b,
    t,
    inputs: {
      q: { shape: [b, t, nq, d], values: q },
      k: { shape: [b, t, n, d], values: k },
      v: { shape: [b, t, n, d], values: v },
    },
    record: (ops, inputs) => ops.attention('op', inputs['q']!, inputs['k']!, inputs['v']!, heads),
    bound: (precision, want) => {
      const { unit } = precision
      const bounds = new Float64Array(want.length)
      for (let row = 0; row < b * t * nq; row++) {
        for (let head = 0; head < heads; head++) {
          const dot = (j: number, of: (x: number) => number) => {
            let sum = 0
            for (let c = head * r; c < (head + 1) * r; c++)
              sum += of(q[row * d + c]! * k[j * d + c]!)
            return sum
          }
          const tokens = Array.from({ length: n }, (_, j) => Math.floor(row / nq) * n + j)
          const scores = tokens.map((j) => dot(j, (x) => x) / Math.sqrt(r))
          const errors = tokens.map((j) => (gamma(r, precision) * dot(j, Math.abs)) / Math.sqrt(r))
          const largest = Math.max(...scores)
          const p = softmaxOf(Float64Array.from(scores))
          // Each exponential has the errors of its score and of the largest score. Its argument is
          // a rounded difference times a rounded scale. It has 4 units of its own. Then come their
          // sum, a quotient and a sum of n products. Exponentials end at the smallest normal
          // number.
          const largestError = Math.max(...errors)
          const relative = scores.map((score, j) =>
            p[j]
              ? Math.expm1(errors[j]! + largestError + 4 * unit * Math.abs(score - largest)) +
                5 * unit
              : 0,
          )
          const total =
            p.reduce((sum, value, j) => sum + value * relative[j]!, 0) + gamma(n, precision)
          for (let c = head * r; c < (head + 1) * r; c++) {
            let error = 0
            tokens.forEach(
              (j, index) =>
                (error +=
                  Math.abs(v[j * d + c]!) *
                  (p[index]! * (relative[index]! + total + unit + gamma(n, precision)) +
                    (n + 1) * 2 ** -126)),
            )
            bounds[row * d + c] = error + n * precision.smallest
          }
        }
      }
      return bounds
    },
  }
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17]
testOp('sizes', [
  ...sizes.map((n) => problem({ n, heads: 2, r: 6 })),
  ...sizes.map((r) => problem({ n: 6, heads: 3, r })),
  ...[1, 4, 5, 6, 10, 11].map((nq) => problem({ t: 2, nq, n: 9, heads: 2, r: 5 })),
  problem({ b: 2, t: 3, n: 5, heads: 3, r: 4 }),
  problem({ n: 201, nq: 1, heads: 2, r: 10 }),
  ...[63, 64, 65, 130].map((n) => problem({ n, heads: 2, r: 8 })),
  ...[64, 68, 129].map((r) => problem({ n: 17, heads: 2, r })),
])

const one = { n: 9, heads: 2, r: 5 }
testOp('extreme values', [
  problem({ name: 'zeros', ...one, q: new Float32Array(90) }),
  problem({ name: 'denormals', ...one, q: noise(90, 1, 1e-39), k: noise(90, 2, 1e-39) }),
  problem({ name: 'denormal values', ...one, v: noise(90, 3, 1e-39) }),
  problem({ name: 'nearly one-hot', ...one, q: noise(90, 1, 20), k: noise(90, 2, 20) }),
  problem({ name: 'one-hot', ...one, q: noise(90, 1, 1e6), k: noise(90, 2, 1e6) }),
  problem({
    name: 'scores far above 0',
    ...one,
    q: noise(90, 1).map((value) => 100 + value),
    k: noise(90, 2).map((value) => 10 + value),
  }),
  problem({ name: 'values at the end of the range', ...one, v: noise(90, 3, 3e38) }),
  problem({
    name: 'NaN in q stays in its row and head',
    ...one,
    q: noise(90, 1).map((value, i) => (i === 13 ? NaN : value)),
  }),
  problem({
    name: 'NaN in k stays in its head and frame',
    ...one,
    t: 2,
    q: noise(180, 1),
    k: noise(180, 2).map((value, i) => (i === 13 ? NaN : value)),
    v: noise(180, 3),
  }),
  problem({
    name: 'NaN in v stays in its column and frame',
    ...one,
    t: 2,
    q: noise(180, 1),
    k: noise(180, 2),
    v: noise(180, 3).map((value, i) => (i === 13 ? NaN : value)),
  }),
])

describe.each(backends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('ops_attention.npz')

  test.each(goldens.names.filter((name) => name.endsWith('/q')).map((name) => name.slice(0, -2)))(
    '%s',
    async (name) => {
      const [q, k, v] = ['q', 'k', 'v'].map((part) => goldens.get(`${name}/${part}`))
      const [n, heads, r] = q!.shape as [number, number, number]
      const { output } = await runOp(
        create,
        problem({ n, heads, r, q: q!.values, k: k!.values, v: v!.values }),
      )
      goldens.expect(`${name}/context`, output)
      if (goldens.names.includes(`${name}/weights`)) {
        goldens.expect(
          `${name}/weights`,
          await attentionWeights(create, {
            frames: 1,
            nq: n,
            n,
            heads,
            r,
            q: q!.values,
            k: k!.values,
          }),
        )
      }
    },
  )

  afterAll(() => {
    expect(goldens.unseen).toEqual([])
    console.log(goldens.report())
  })
})
