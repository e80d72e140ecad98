import { afterAll, describe, expect, test } from 'vitest'
import { Goldens } from '../goldens.ts'
import { gamma, noise, type OpCase, rowsWeight, runOp, testOp } from '../ops.ts'
import { ReferenceBackend } from '../reference.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly n: number
  readonly d: number
  readonly x?: Float32Array
  readonly dy?: Float32Array
  readonly scale?: Float32Array
}

/** Rows of a partial sum of dscale. */
const PART = 64

function problem({
  name = '',
  t = 1,
  n,
  d,
  x = noise(t * n * d, 1, 3),
  dy = noise(t * n * d, 3),
  scale = noise(d, 2, 2),
}: Problem): OpCase {
  const rows = t * n
  const mean = (of: (i: number) => number) =>
    Array.from({ length: d }, (_, i) => of(i)).reduce((sum, value) => sum + value, 0) / d
  return {
    ...{ name: `${name} ${t}×${n}×${d}`.trim(), t },
    inputs: { x: { shape: [1, t, n, d], values: x }, dy: { shape: [1, t, n, d], values: dy } },
    weights: { scale: rowsWeight(1, d, scale) },
    record: (ops, inputs) => ops.layerNormGradient('op', inputs['x']!, inputs['dy']!, 'scale'),
    bound(precision, want, output) {
      const { unit, smallest } = precision
      const errors = Array.from({ length: rows }, (_, row) => {
        const at = (i: number) => row * d + i
        const centre = mean((i) => x[at(i)]!)
        const variance = mean((i) => (x[at(i)]! - centre) ** 2)
        const deviation = Math.sqrt(variance + 1e-6)
        // As in test/layerNorm.test.ts: `shift` is the error of μ, `relative` that of s.
        const shift = gamma(d + 1, precision) * mean((i) => Math.abs(x[at(i)]!)) + smallest
        const relative =
          (shift ** 2 + gamma(d + 6, precision) * (variance + 1e-6)) / (2 * deviation ** 2) + unit
        const normalised = (i: number) => Math.abs(x[at(i)]! - centre) / deviation
        // Error of x̂: those of μ, of a difference, of s, and of a quotient.
        const ofNormalised = (i: number) =>
          shift / deviation + (normalised(i) + shift / deviation) * (relative + 2 * unit)
        const q = (i: number) => Math.abs(dy[at(i)]! * scale[i]!)
        // Errors of the means: sums of d products, each of them rounded, and up to two quotients.
        const ofAverage = gamma(d + 3, precision) * mean(q)
        const ofProduct =
          mean((i) => q(i) * ofNormalised(i)) +
          gamma(d + 5, precision) * mean((i) => q(i) * normalised(i))
        const product = Math.abs(
          mean((i) => (dy[at(i)]! * scale[i]! * (x[at(i)]! - centre)) / deviation),
        )
        return { deviation, relative, normalised, ofNormalised, q, ofAverage, ofProduct, product }
      })
      if (output === 'dscale')
        return want.map((_, at) => {
          const first = Math.floor(at / d) * PART
          let bound = 0
          for (let row = first; row < Math.min(first + PART, rows); row++) {
            const { normalised, ofNormalised } = errors[row]!
            const y = Math.abs(dy[row * d + (at % d)]!)
            bound += y * (ofNormalised(at % d) + normalised(at % d) * gamma(PART + 1, precision))
          }
          return bound + smallest * PART
        })
      return want.map((value, at) => {
        const { deviation, relative, normalised, ofNormalised, ...e } = errors[Math.floor(at / d)]!
        const i = at % d
        const second = (normalised(i) + ofNormalised(i)) * (e.product + e.ofProduct)
        const ofSecond = second - normalised(i) * e.product
        // Two products, two differences and a quotient.
        return (
          (e.ofAverage + ofSecond + unit * (3 * e.q(i) + 2 * mean((j) => e.q(j)) + 3 * second)) /
            deviation +
          Math.abs(value) * (relative + unit) +
          2e3 * smallest * (2 + Math.abs(scale[i]!) + normalised(i))
        )
      })
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 63, 64, 65, 96, 258, 771].map((d) => problem({ n: 3, d })),
    ...[1, 2, 63, 64, 65, 200].map((n) => problem({ n, d: 10 })),
    problem({ t: 3, n: 50, d: 12 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ name: 'zeros', n: 2, d: 9, x: new Float32Array(18) }),
    problem({ name: 'constant', n: 2, d: 16, x: new Float32Array(32).fill(3) }),
    problem({ name: 'no gradient', n: 2, d: 9, dy: new Float32Array(18) }),
    problem({ name: 'denormals', n: 2, d: 9, x: noise(18, 1, 1e-39) }),
    problem({ name: 'near epsilon', n: 2, d: 9, x: noise(18, 1, 1e-3) }),
    problem({
      name: 'mean 1000, deviation 1',
      n: 3,
      d: 64,
      x: noise(192, 1).map((value) => 1000 + value),
    }),
    problem({ name: 'large', n: 2, d: 9, x: noise(18, 1, 1e18) }),
    problem({ name: 'large gradient', n: 2, d: 9, dy: noise(18, 3, 1e30) }),
    problem({ name: 'scale 0', n: 2, d: 9, scale: new Float32Array(9) }),
    problem({
      name: 'NaN stays in its row of dx',
      n: 3,
      d: 9,
      x: noise(27, 1).map((value, i) => (i === 13 ? NaN : value)),
    }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem({ t: 2, n: 135, d: 37 }))

test('the reference has the slopes of differences', async () => {
  const [n, d] = [3, 7]
  const [x, dy, scale, bias] = [noise(n * d, 1), noise(n * d, 2), noise(d, 3), noise(d, 4)]
  const reference = async (weights: ConstructorParameters<typeof ReferenceBackend>[0]) =>
    new ReferenceBackend(weights)
  const { outputs } = await runOp(reference, problem({ n, d, x, dy, scale }))
  const lossAt = async (x: Float32Array, scale: Float32Array) => {
    const { output } = await runOp(reference, {
      ...problem({ n, d, x }),
      inputs: { x: { shape: [1, 1, n, d], values: x } },
      weights: { scale: rowsWeight(1, d, scale), bias: rowsWeight(1, d, bias) },
      record: (ops, { x }) => ops.layerNorm('op', x!, 'scale', 'bias'),
    })
    return output.reduce((sum, value, at) => sum + value * dy[at]!, 0)
  }
  const step = 2 ** -7
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0)
  const moved = (values: Float32Array, way: Float32Array, size: number) =>
    values.map((value, at) => value + size * way[at]!)
  const [wayX, wayScale] = [noise(n * d, 5), noise(d, 6)]
  const alongX =
    ((await lossAt(moved(x, wayX, step), scale)) - (await lossAt(moved(x, wayX, -step), scale))) /
    (2 * step)
  expect(dot(outputs['dx']!, wayX)).toBeCloseTo(alongX, 3)
  const alongScale =
    ((await lossAt(x, moved(scale, wayScale, step))) -
      (await lossAt(x, moved(scale, wayScale, -step)))) /
    (2 * step)
  expect(dot(outputs['dscale']!, wayScale)).toBeCloseTo(alongScale, 3)
})

describe.each(fullTrainingBackends)('goldens on $name', async ({ create }) => {
  const goldens = await Goldens.open('grad_ops.npz')
  const cases = goldens.names.filter((name) => /^layerNorm\/.*\/x$/.test(name))

  test.each(cases.map((name) => name.slice(0, -2)))('%s', async (name) => {
    const [x, dy, scale] = ['x', 'dy', 'scale'].map((part) => goldens.get(`${name}/${part}`).values)
    const d = scale!.length
    const { outputs } = await runOp(
      create,
      problem({ n: x!.length / d, d, x: x!, dy: dy!, scale: scale! }),
    )
    goldens.expect(`${name}/dx`, outputs['dx']!)
    // Fewer than 64 rows are a single partial sum.
    goldens.expect(`${name}/dscale`, outputs['dscale']!)
    const { output: dbias } = await runOp(create, {
      ...problem({ n: dy!.length / d, d }),
      inputs: { dy: { shape: [1, 1, dy!.length / d, d], values: dy! } },
      weights: {},
      record: (ops, { dy }) => ops.sumRows('op', dy!),
    })
    goldens.expect(`${name}/dbias`, dbias)
  })

  afterAll(() => {
    expect(goldens.unseen.filter((name) => /^layerNorm.*\/d/.test(name))).toEqual([])
    console.log(goldens.report())
  })
})
