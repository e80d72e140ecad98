import { noise, type OpCase, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { indices } from './tokens.ts'

interface Problem {
  readonly name?: string
  readonly b?: number
  readonly t?: number
  readonly n: number
  readonly v: number
  readonly d: number
  readonly x?: Float32Array
  readonly index?: Float32Array
}

function problem({ name = '', b = 2, t = 1, n, v, d, ...given }: Problem): OpCase {
  const { x = noise(b * t * n * d, 1), index = indices(b, v, n) } = given
  return {
    ...{ name: `${name} ${b}×${t} frames, ${v} of ${n} tokens, ${d} columns`.trim(), b, t },
    inputs: { x: { shape: [b, t, n, d], values: x }, index: { shape: [b, v], values: index } },
    record: (ops, { x, index }) => ops.gather('op', x!, index!),
    // A copy.
    bound: (_, want) => want.map(() => 0),
  }
}

testOp(
  'sizes and values',
  [
    ...[1, 3, 4, 9, 70].map((d) => problem({ t: 3, n: 5, v: 2, d })),
    ...[1, 2, 7, 65].map((v) => problem({ t: 2, n: 70, v, d: 6 })),
    problem({ b: 3, t: 2, n: 9, v: 9, d: 8 }),
    problem({ b: 1, n: 1, v: 1, d: 5 }),
    problem({ name: 'more than there are', n: 2, v: 5, d: 3 }),
    problem({
      name: 'limited to the tokens',
      b: 1,
      n: 3,
      v: 5,
      d: 4,
      index: Float32Array.of(-1, 3, 1e9, -1e30, 2),
    }),
    problem({
      name: 'NaN',
      b: 1,
      n: 3,
      v: 2,
      d: 4,
      x: noise(12, 1).map((value, at) => (at === 5 ? NaN : value)),
    }),
  ],
  trainingBackends,
  trainingTeam,
)
