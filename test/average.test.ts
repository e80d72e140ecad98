import { describe, expect, test } from 'vitest'
import { type Average, kindOf } from '../src/program/program.ts'
import { type BackendUnderTest, backends } from './backends.ts'
import { framesOf, gamma, noise, type OpCase, runOp, testOp, testSplits } from './ops.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t: number
  readonly c: number
  readonly over: Average
  readonly x?: Float32Array
}

function problem({ name = '', b = 1, t, c, over, x = noise(b * t * c, 1) }: Problem): OpCase {
  return {
    name: `${name} ${b}×${t} frames, ${c} channels, over ${JSON.stringify(over)}`.trim(),
    b,
    t,
    inputs: { x: { shape: [b, t, 1, c], values: x } },
    average: over,
    record: (ops, inputs) => ops.average('op', inputs['x']!, kindOf(over)),
    bound: (precision, want) =>
      want.map((value, at) => {
        const [frame, first] = [Math.floor(at / c) % t, Math.floor(at / (t * c)) * t * c + (at % c)]
        return boundOf(
          over,
          Array.from({ length: frame + 1 }, (_, i) => x[first + i * c]!),
          value,
          precision,
        )
      }),
    // Backends may split a sum differently and order a ring differently. Errors in a state show in
    // later frames.
    boundOfStates: () => [
      new Float64Array(
        b * c * (typeof over === 'object' && 'frames' in over ? over.frames : 2),
      ).fill(Infinity),
    ],
  }
}

function boundOf(
  over: Average,
  values: readonly number[],
  mean: number,
  precision: BackendUnderTest,
): number {
  const { unit, smallest } = precision
  const count = values.length
  const size = (of: readonly number[]) =>
    of.reduce((sum, value) => sum + Math.abs(value), 0) / of.length
  // Compensated sum: only the sum of the rounding errors is rounded. Then a sum, a quotient and the
  // count.
  if (over === 'all')
    return 3 * unit * Math.abs(mean) + (count * unit) ** 2 * size(values) + smallest
  if ('frames' in over) {
    const last = values.slice(-over.frames)
    return gamma(last.length + 1, precision) * size(last) + smallest
  }
  // The decay: half-life and logarithm are rounded, the argument is a quotient, and the exponential
  // has 4 units. Errors then decay like the frames.
  const exponent = Math.LN2 / over.halfLife
  const decay = Math.exp(-exponent)
  let [sum, weight, sumError, weightError] = [0, 0, 0, 0]
  for (const value of values) {
    const relative = (3 * exponent + 4) * unit + unit
    sumError = decay * (sumError + relative * (Math.abs(sum) + sumError))
    weightError = decay * (weightError + relative * (weight + weightError))
    sum = sum * decay + value
    weight = weight * decay + 1
    sumError += unit * (Math.abs(sum) + sumError) + smallest
    weightError += unit * (weight + weightError)
  }
  return (
    (sumError + Math.abs(mean) * weightError) / (weight - weightError) +
    unit * Math.abs(mean) +
    smallest
  )
}

const ways: readonly Average[] = [
  'all',
  { frames: 1 },
  { frames: 2 },
  { frames: 5 },
  { halfLife: 0.5 },
  { halfLife: 3 },
  { halfLife: 100 },
]

testOp(
  'sizes',
  ways.flatMap((over) => [
    problem({ t: 1, c: 4, over }),
    problem({ t: 13, c: 1, over }),
    problem({ b: 3, t: 12, c: 7, over }),
    problem({ t: 3, c: 17, over }),
  ]),
)

testOp(
  'extreme values',
  ways.flatMap((over) => [
    problem({ name: 'zeros', t: 3, c: 5, over, x: new Float32Array(15) }),
    problem({ name: 'large', t: 3, c: 5, over, x: noise(15, 1, 1e38) }),
    problem({ name: 'denormals', t: 3, c: 5, over, x: noise(15, 1, 1e-39) }),
  ]),
)

testOp('long streams', [
  // A plain float32 sum of 0.1 has a relative error of 1e-5 here.
  problem({
    name: 'the same value',
    t: 1000,
    c: 2,
    over: 'all',
    x: new Float32Array(2000).fill(0.1),
  }),
  problem({
    name: 'one large value first',
    t: 1000,
    c: 1,
    over: 'all',
    x: noise(1000, 1).map((value, i) => (i ? value : 1e6)),
  }),
  problem({
    name: 'one large value first',
    t: 300,
    c: 1,
    over: { frames: 7 },
    x: noise(300, 1).map((value, i) => (i ? value : 1e30)),
  }),
  problem({ name: 'noise', t: 500, c: 1, over: { halfLife: 20 } }),
])

for (const over of ways) {
  const x = { shape: [2, 5, 1, 5], values: noise(50, 1) }
  testSplits(`splits over ${JSON.stringify(over)}`, 5, (from, to) => ({
    ...problem({ b: 2, t: to - from, c: 5, over, x: framesOf(x, from, to).values as Float32Array }),
    frame: from,
  }))
}

describe.each(backends)('on $name', ({ create }) => {
  test('a NaN frame has no effect after it has left the window', async () => {
    const x = noise(8, 1).map((value, i) => (i === 1 ? NaN : value))
    const { output } = await runOp(create, problem({ t: 8, c: 1, over: { frames: 3 }, x }))
    expect(Array.from(output, Number.isNaN)).toEqual([
      false,
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })
})
