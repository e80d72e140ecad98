import { gamma, noise, type OpCase, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'

interface Problem {
  readonly name?: string
  readonly t?: number
  readonly n: number
  readonly d: number
  readonly x?: Float32Array
}

function problem({ name = '', t = 1, n, d, x = noise(t * n * d, 1) }: Problem): OpCase {
  return {
    ...{ name: `${name} ${t}×${n}×${d}`.trim(), t },
    inputs: { x: { shape: [1, t, n, d], values: x } },
    record: (ops, { x }) => ops.rowNorms('op', x!),
    // On a GPU: a scaled square, sums of at most 16, then of their sums, then twice of 8, halved by
    // the root. Then root and quotient. Results of the CPU are rounded once.
    bound: (precision, want) => {
      const sums = gamma(34 + Math.ceil(d / 1024), precision) / 2
      return want.map((norm) => norm * (sums + 2 * precision.unit) + d * precision.smallest)
    },
  }
}

const row = (...values: number[]) => ({ n: 1, d: values.length, x: Float32Array.from(values) })
testOp(
  'sizes',
  [
    ...[1, 2, 3, 7, 8, 9, 16, 64, 65, 771, 3072].map((d) => problem({ n: 3, d })),
    ...[1, 2, 70].map((n) => problem({ n, d: 10 })),
    problem({ t: 3, n: 5, d: 12 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ name: 'zeros', n: 2, d: 9, x: new Float32Array(18) }),
    problem({ name: 'denormals', n: 2, d: 9, x: noise(18, 1, 1e-39) }),
    ...[1e-30, 1e-20, 1e-12, 1e12, 1e20, 1e37].map((scale) =>
      problem({ name: `around ${scale}`, n: 2, d: 70, x: noise(140, 1, scale) }),
    ),
    ...[2 ** -40, 2 ** 40].map((x) => problem({ name: `${x}`, ...row(x, x, x * (1 + 2 ** -23)) })),
    problem({ name: 'small beside large', ...row(1e38, 1, 1e-38, -1e38) }),
    problem({ name: 'NaN in one row', n: 3, d: 9, x: noise(27, 1).fill(NaN, 13, 14) }),
    problem({ name: 'infinite row', n: 3, d: 9, x: noise(27, 1).fill(-Infinity, 13, 14) }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testBits(problem({ t: 2, n: 40, d: 771 }))
