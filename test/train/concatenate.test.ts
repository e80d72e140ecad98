import { noise, type OpCase, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

interface Problem {
  readonly b?: number
  readonly t?: number
  readonly rows: number
  /** Columns of a, b and c. */
  readonly columns: readonly number[]
}

function problem({ b = 2, t = 1, rows, columns }: Problem): OpCase {
  const inputs = columns.map((n, index) => {
    const values = noise(b * t * rows * n, index, index ? 1 : 1e-39)
    if (index) values.set([NaN, Infinity].slice(0, n))
    return ['abc'[index]!, { shape: [b, t, rows, n], values }] as const
  })
  return {
    ...{ name: `${b}×${t}×${rows} rows of ${columns.join(' + ')}`, b, t },
    inputs: Object.fromEntries(inputs),
    record: (ops, { a, b, c }) => ops.concatenate('op', a!, b!, { ...(c && { c }) }),
    // A copy: the numbers stay as they are.
    bound: (_, want) => want.map(() => 0),
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 9, 16].flatMap((n) => [
      problem({ rows: 3, columns: [n, 5] }),
      problem({ rows: 3, columns: [5, n] }),
      problem({ rows: 3, columns: [5, 2, n] }),
    ]),
    problem({ t: 3, rows: 7, columns: [10, 20] }),
    problem({ t: 3, rows: 7, columns: [64, 64, 128] }),
    problem({ b: 1, rows: 1, columns: [1, 1, 1] }),
  ],
  trainingBackends,
  trainingTeam,
)
