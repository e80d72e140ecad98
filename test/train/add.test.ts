import { noise, type OpCase, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly rows: number
  readonly n: number
  readonly a?: Float32Array
}

function problem({ name = '', t = 1, rows, n, a = noise(2 * t * rows * n, 1) }: Problem): OpCase {
  const shape = [2, t, rows, n]
  return {
    ...{ name: `${name} ${shape.join('×')}`.trim(), b: 2, t },
    inputs: { a: { shape, values: a }, b: { shape, values: noise(a.length, 2) } },
    record: (ops, { a, b }) => ops.add('op', a!, b!),
    bound: ({ unit, smallest }, want) => want.map((value) => unit * Math.abs(value) + 2 * smallest),
  }
}

testOp(
  'sizes and extreme values',
  [
    ...[1, 3, 4, 7, 8, 9, 16, 33].map((n) => problem({ rows: 3, n })),
    problem({ t: 3, rows: 7, n: 10 }),
    problem({ name: 'denormals', rows: 2, n: 5, a: noise(20, 1, 1e-39) }),
    problem({ name: 'large', rows: 2, n: 5, a: noise(20, 1, 3e38) }),
    problem({ name: 'NaN', rows: 1, n: 2, a: Float32Array.of(NaN, 1, Infinity, -Infinity) }),
  ],
  trainingBackends,
  trainingTeam,
)
