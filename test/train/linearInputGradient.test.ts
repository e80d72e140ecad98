import { noise, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { inputGradient } from './products.ts'

testOp(
  'sizes',
  [
    ...[1, 2, 4, 5, 6, 7, 11, 32, 33].map((rows) => inputGradient({ rows, k: 11, n: 13 })),
    ...[1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40].map((k) => inputGradient({ rows: 7, k, n: 5 })),
    ...[1, 4, 7, 8, 9, 16, 17, 767, 768, 769, 1540].map((n) =>
      inputGradient({ rows: 8, k: 20, n }),
    ),
    ...[199, 200, 201, 403].map((rows) => inputGradient({ rows, k: 17, n: 9 })),
    inputGradient({ rows: 205, k: 35, n: 780, add: true }),
    inputGradient({ b: 2, t: 3, rows: 5, k: 18, n: 9, add: true }),
    inputGradient({ b: 2, t: 2, rows: 67, k: 20, n: 800, add: true }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'blocks',
  [
    ...[1, 5, 8, 17].map((k) => inputGradient({ rows: 9, blocks: 3, k, n: 12 })),
    ...[1, 7, 8, 20].map((n) => inputGradient({ rows: 9, blocks: 2, k: 24, n })),
    inputGradient({ b: 2, t: 2, rows: 104, blocks: 3, k: 18, n: 36, add: true }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    inputGradient({ name: 'no gradient', rows: 3, k: 9, n: 9, dy: new Float32Array(27) }),
    inputGradient({ name: 'denormals', rows: 3, k: 9, n: 9, dy: noise(27, 1, 1e-39) }),
    inputGradient({ name: 'large', rows: 3, k: 9, n: 9, dy: noise(27, 1, 1e36) }),
    inputGradient({
      name: 'NaN stays in its row',
      rows: 7,
      k: 9,
      n: 5,
      dy: noise(35, 1).map((value, at) => (at === 12 ? NaN : value)),
    }),
  ],
  trainingBackends,
  trainingTeam,
)
