import { gamma, noise, type OpCase, testOp } from './ops.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  readonly n: number
  readonly d: number
  readonly x?: Float32Array
}

function problem({ name = '', b = 1, t = 1, n, d, x = noise(b * t * n * d, 1) }: Problem): OpCase {
  return {
    name: `${name} ${b}×${t} frames, ${n} tokens of ${d}`.trim(),
    b,
    t,
    inputs: { x: { shape: [b, t, n, d], values: x } },
    record: (ops, inputs) => ops.pool('op', inputs['x']!),
    // A sum of n values, then a quotient.
    bound: (precision, want) =>
      want.map((value, at) => {
        let size = 0
        for (let i = 0; i < n; i++)
          size += Math.abs(x[(Math.floor(at / d) * n + i) * d + (at % d)]!)
        return (
          (gamma(n, precision) * size) / n + precision.unit * Math.abs(value) + precision.smallest
        )
      }),
  }
}

testOp('sizes', [
  ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17].map((d) => problem({ n: 5, d })),
  ...[1, 2, 3, 16, 197].map((n) => problem({ n, d: 6 })),
  problem({ b: 3, t: 4, n: 7, d: 13 }),
])

testOp('extreme values', [
  problem({ name: 'zeros', n: 3, d: 5, x: new Float32Array(15) }),
  problem({ name: 'denormals', n: 3, d: 5, x: noise(15, 1, 1e-39) }),
  problem({ name: 'large', n: 3, d: 5, x: noise(15, 1, 1.1e38) }),
  problem({
    name: 'NaN and infinity stay in their column and frame',
    t: 2,
    n: 3,
    d: 5,
    x: noise(30, 1).map((value, i) => (i === 6 ? NaN : i === 29 ? -Infinity : value)),
  }),
])
