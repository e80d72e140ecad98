import { gamma, noise, type OpCase, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

function problem(
  { t = 1, n, d }: { readonly t?: number; readonly n: number; readonly d: number },
  name = '',
  x: Float32Array = noise(2 * t * n * d, 1),
): OpCase {
  const b = 2
  const sums = new Float64Array(d)
  x.forEach((value, at) => (sums[at % d]! += Math.abs(value)))
  return {
    ...{ name: `${name} ${b}×${t}×${n}×${d}`.trim(), b, t },
    inputs: { x: { shape: [b, t, n, d], values: x } },
    record: (ops, inputs) => ops.sumRows('op', inputs['x']!),
    // Sums of blocks of 64 rows, then the sum of these. Each addition may lose small values.
    bound: (precision) => {
      const rows = b * t * n
      const factor = gamma(64 + Math.ceil(rows / 64), precision)
      return sums.map((sum) => sum * factor + 2 * rows * precision.smallest)
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 15, 16, 17, 32, 66, 131].map((d) => problem({ n: 3, d })),
    ...[1, 31, 32, 33, 64, 100].map((n) => problem({ n, d: 20 })),
    problem({ t: 3, n: 50, d: 20 }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ n: 40, d: 18 }, 'zeros', new Float32Array(1440)),
    problem({ n: 40, d: 18 }, 'denormals', noise(1440, 1, 1e-39)),
    problem({ n: 40, d: 18 }, 'large', noise(1440, 1, 1e36)),
    problem(
      { n: 4, d: 18 },
      'NaN stays in its column',
      noise(144, 1).map((value, at) => (at === 20 || at === 35 ? NaN : value)),
    ),
  ],
  trainingBackends,
  trainingTeam,
)
