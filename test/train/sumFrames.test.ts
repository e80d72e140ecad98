import { gamma, noise, type OpCase, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'

function problem(
  { b = 2, t = 1, n, d }: { b?: number; t?: number; n: number; d: number },
  name = '',
  x: Float32Array = noise(b * t * n * d, 1),
): OpCase {
  const sums = new Float64Array(n * d)
  x.forEach((value, at) => (sums[at % (n * d)]! += Math.abs(value)))
  return {
    ...{ name: `${name} ${b}×${t}×${n}×${d}`.trim(), b, t },
    inputs: { x: { shape: [b, t, n, d], values: x } },
    record: (ops, inputs) => ops.sumFrames('op', inputs['x']!),
    // Sums of blocks of 64 frames, then the sum of these. Each addition may lose small values.
    bound: (precision) => {
      const factor = gamma(64 + Math.ceil((b * t) / 64), precision)
      return sums.map((sum) => sum * factor + 2 * b * t * precision.smallest)
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 7, 8, 9, 16, 20].map((d) => problem({ t: 3, n: 3, d })),
    ...[1, 2, 5].map((n) => problem({ t: 2, n, d: 10 })),
    ...[1, 31, 32, 33, 70].map((t) => problem({ t, n: 2, d: 10 })),
    problem({ b: 1, n: 2, d: 10 }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    problem({ n: 3, d: 9 }, 'zeros', new Float32Array(54)),
    problem({ n: 3, d: 9 }, 'denormals', noise(54, 1, 1e-39)),
    problem({ n: 3, d: 9 }, 'large', noise(54, 1, 1e36)),
    problem(
      { n: 3, d: 9 },
      'NaN stays in its place',
      noise(54, 1).map((value, at) => (at === 20 || at === 35 ? NaN : value)),
    ),
  ],
  trainingBackends,
  trainingTeam,
)
