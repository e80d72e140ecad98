import { noise, testOp } from '../ops.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { kernelGradient } from './products.ts'

testOp(
  'sizes',
  [
    ...[1, 2, 3, 4, 5, 8, 15, 16, 17, 33].map((rows) => kernelGradient({ rows, k: 11, n: 13 })),
    ...[1, 3, 4, 5, 6, 7, 31, 32, 33].map((k) => kernelGradient({ rows: 9, k, n: 10 })),
    ...[1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 70].map((n) => kernelGradient({ rows: 6, k: 8, n })),
    ...[511, 512, 513, 1027].map((rows) => kernelGradient({ rows, k: 7, n: 17 })),
    ...[383, 384, 385, 780].map((k) => kernelGradient({ rows: 5, k, n: 34 })),
    kernelGradient({ b: 2, t: 3, rows: 5, k: 9, n: 18 }),
    kernelGradient({ b: 2, t: 2, rows: 135, k: 20, n: 40 }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'blocks',
  [
    ...[1, 5, 8, 17].map((k) => kernelGradient({ rows: 9, blocks: 3, k, n: 12 })),
    ...[1, 7, 8, 20].map((n) => kernelGradient({ rows: 9, blocks: 2, k: 24, n })),
    kernelGradient({ b: 2, t: 2, rows: 130, blocks: 3, k: 18, n: 36 }),
  ],
  trainingBackends,
  trainingTeam,
)

testOp(
  'extreme values',
  [
    kernelGradient({ name: 'no gradient', rows: 5, k: 9, n: 9, dy: new Float32Array(45) }),
    kernelGradient({ name: 'denormals', rows: 5, k: 9, n: 9, dy: noise(45, 1, 1e-39) }),
    kernelGradient({ name: 'large', rows: 5, k: 9, n: 9, dy: noise(45, 1, 1e36) }),
    kernelGradient({
      name: 'NaN stays in its row',
      rows: 4,
      k: 7,
      n: 9,
      x: noise(28, 1).map((value, at) => (at === 12 ? NaN : value)),
    }),
    kernelGradient({
      name: 'NaN stays in its column',
      rows: 4,
      k: 7,
      n: 9,
      dy: noise(36, 1).map((value, at) => (at === 12 ? NaN : value)),
    }),
  ],
  trainingBackends,
  trainingTeam,
)
