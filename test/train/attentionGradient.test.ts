import { afterAll, describe, expect, test } from 'vitest'
import type { BackendUnderTest } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { gamma, type Input, noise, type OpCase, runOp, testOp } from '../ops.ts'
import { ReferenceBackend, softmaxOf } from '../reference.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'
import { Errors, type Near } from './errors.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly nq?: number
  readonly n: number
  readonly heads: number
  readonly r: number
  readonly q?: Float32Array
  readonly k?: Float32Array
  readonly v?: Float32Array
  readonly y?: Float32Array
  readonly dy?: Float32Array
}

function problem({
  name = '',
  t = 1,
  n,
  nq = n,
  heads,
  r,
  q = noise(t * nq * heads * r, 1, 2),
  k = noise(t * n * heads * r, 2, 2),
  v = noise(t * n * heads * r, 3),
  y = noise(t * nq * heads * r, 4),
  dy = noise(t * nq * heads * r, 5),
}: Problem): OpCase {
  const d = heads * r
  const input = (values: Float32Array, tokens: number): Input => ({
    shape: [1, t, tokens, d],
    values,
  })
  /** Returns the error bounds of the outputs. */
  function errors(backend: BackendUnderTest) {
    const near = new Errors(backend)
    const { unit, smallest } = backend
    const [dq, dk, dv] = [new Float64Array(q.length), new Float64Array(k.length), k.slice()].map(
      (array) => Float64Array.from(array).fill(0),
    ) as [Float64Array, Float64Array, Float64Array]
    /** Returns Σ_c x ⊙ z of a head, summed in any order. */
    const dot = (x: Float32Array, row: number, z: Float32Array, other: number, head: number) => {
      let [value, size] = [0, 0]
      for (let c = head * r; c < (head + 1) * r; c++) {
        const product = x[row * d + c]! * z[other * d + c]!
        value += product
        size += Math.abs(product)
      }
      return { value, error: size * gamma(r, backend) + r * 2 * smallest }
    }
    for (let i = 0; i < t * nq; i++) {
      const first = Math.floor(i / nq) * n
      for (let head = 0; head < heads; head++) {
        // √r and its reciprocal: two roundings.
        const root = near.rounded(1 / Math.sqrt(r), 0, 2)
        const scores = Array.from({ length: n }, (_, j) =>
          near.multiply(dot(q, i, k, first + j, head), root),
        )
        const p = softmaxOf(Float64Array.from(scores, ({ value }) => value))
        const most = Math.max(...scores.map(({ value }) => value))
        // Each exponent has the errors of the score, of the largest score and of their difference.
        // The exponential has 4 units. The sum is rescaled at most once per key.
        const exponents = scores.map(
          ({ value, error }) => error + unit * Math.abs(value - most) * 2,
        )
        const worst = Math.max(...exponents)
        const inner = dot(y, i, dy, i, head)
        for (let j = 0; j < n; j++) {
          const relative = 2 * exponents[j]! + 2 * worst + gamma(2 * n + 14, backend)
          const weight: Near = { value: p[j]!, error: p[j]! * relative + 2 ** -126 }
          const slope = near.subtract(dot(v, first + j, dy, i, head), inner)
          const ds = near.product(weight, slope, root)
          for (let c = head * r; c < (head + 1) * r; c++) {
            const add = (to: Float64Array, row: number, x: Near, factor: number, terms: number) => {
              to[row * d + c]! +=
                Math.abs(factor) * x.error +
                Math.abs(factor * x.value) * gamma(terms + 1, backend) +
                2 * smallest
            }
            add(dq, i, ds, k[(first + j) * d + c]!, n)
            add(dk, first + j, ds, q[i * d + c]!, nq)
            add(dv, first + j, weight, dy[i * d + c]!, nq)
          }
        }
      }
    }
    return { dq, dk, dv }
  }
  return {
    name: `${name} ${t}×${nq}×${n}, ${heads} heads of ${r}`.trim(),
    t,
    inputs: { q: input(q, nq), k: input(k, n), v: input(v, n), y: input(y, nq), dy: input(dy, nq) },
    record: (ops, { q, k, v, y, dy }) => ops.attentionGradient('op', q!, k!, v!, y!, dy!, heads),
    bound: (precision, _, output) => errors(precision)[output as 'dq' | 'dk' | 'dv'],
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 7, 8, 9, 16, 20].map((r) => problem({ t: 2, n: 3, heads: 2, r })),
    ...[1, 2, 5, 8, 9, 16, 17, 29, 30, 31, 61, 65].map((n) => problem({ n, heads: 1, r: 8 })),
    problem({ t: 2, nq: 1, n: 19, heads: 3, r: 4 }),
    problem({ t: 2, nq: 70, n: 5, heads: 1, r: 6 }),
  ],
  trainingBackends,
  trainingTeam,
)

const one = { n: 9, heads: 2, r: 5 }
testOp(
  'extreme values',
  [
    problem({ name: 'zeros', ...one, q: new Float32Array(90) }),
    problem({ name: 'no gradient', ...one, dy: new Float32Array(90) }),
    problem({ name: 'sharp', ...one, q: noise(90, 1, 40) }),
    problem({ name: 'large gradient', ...one, dy: noise(90, 5, 1e30) }),
    problem({ name: 'denormals', ...one, dy: noise(90, 5, 1e-39) }),
  ],
  trainingBackends,
  trainingTeam,
)

testBits(problem({ t: 2, n: 37, heads: 3, r: 12 }))

test('has the slopes of differences', async () => {
  const [t, n, heads, r] = [2, 5, 2, 4]
  const size = t * n * heads * r
  const create = async (weights: ConstructorParameters<typeof ReferenceBackend>[0]) =>
    new ReferenceBackend(weights)
  const given = { t, n, heads, r, q: noise(size, 1), k: noise(size, 2), v: noise(size, 3) }
  const forward = async (changed: Partial<typeof given>) => {
    const { q, k, v } = problem({ ...given, ...changed }).inputs
    const { output } = await runOp(create, {
      ...{ name: 'forward', t, inputs: { q: q!, k: k!, v: v! }, bound: () => [] },
      record: (ops, { q, k, v }) => ops.attention('op', q!, k!, v!, heads),
    })
    return output
  }
  const dy = noise(size, 5)
  const y = await forward({})
  const { outputs } = await runOp(create, problem({ ...given, y, dy }))
  const dot = (x: Float32Array, z: Float32Array) =>
    x.reduce((sum, value, at) => sum + value * z[at]!, 0)
  const way = noise(size, 9)
  const step = 2 ** -6
  for (const part of ['q', 'k', 'v'] as const) {
    const lossAt = async (length: number) =>
      dot(dy, await forward({ [part]: given[part].map((value, at) => value + length * way[at]!) }))
    const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step)
    expect(Math.abs(difference - dot(outputs[`d${part}`]!, way)), part).toBeLessThan(1e-3)
  }
})

describe.each(trainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^attention\/.*\/q$/.test(name))

  test.each(cases.map((name) => name.slice(0, -2)))('%s', async (name) => {
    const [t, n, heads, r] = goldens.get(`${name}/q`).shape as [number, number, number, number]
    const [q, k, v, y, dy] = ['q', 'k', 'v', 'y', 'dy'].map(
      (part) => goldens.get(`${name}/${part}`).values,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array]
    const { outputs } = await runOp(create, problem({ t, n, heads, r, q, k, v, y, dy }))
    for (const part of ['dq', 'dk', 'dv']) goldens.expect(`${name}/${part}`, outputs[part]!)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^attention\/.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
