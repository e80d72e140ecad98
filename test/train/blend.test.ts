import { expect, test } from 'vitest'
import type { Weight } from '../../src/program/program.ts'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { noise, type OpCase, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingBackends, trainingTeam } from './backends.ts'
import { testBits } from './bits.ts'
import { Errors } from './errors.ts'

interface Problem {
  readonly name?: string
  readonly kind?: Weight['kind']
  readonly blocks?: number
  /** Frames, if the rows of x are those of frames. */
  readonly t?: number
  readonly k: number
  readonly n: number
  readonly rates?: readonly [keep: number, share: number]
  readonly norm?: number
  readonly before?: Float32Array
}

function problem({
  name = '',
  kind = 'matrix',
  blocks = 1,
  t = 1,
  k,
  n,
  rates = [0.999, 0.001],
  norm = 4,
  before = noise(blocks * k * n, 2, 3),
}: Problem): OpCase {
  const count = blocks * k * n
  const x = noise(count, 1)
  const shape = t > 1 ? [1, t, (blocks * k) / t, n] : [blocks * k, n]
  return {
    ...{ name: `${name} ${kind} ${blocks}×${k}×${n}`.trim(), t },
    inputs: {
      x: { shape, values: x },
      rates: { shape: [1, 2], values: Float32Array.from(rates) },
      norm: { shape: [1, 1], values: Float32Array.of(norm) },
    },
    weights: { value: { kind, blocks, rows: k, columns: n, values: before } },
    record(ops, { x, rates, norm }) {
      ops.blend('blend', x!, rates!, norm!, 'value')
      return ops.weightValues('op', 'value')
    },
    bound(precision) {
      // What is not written, and sums of one exact product, are exact.
      if (!Number.isFinite(norm)) return new Float64Array(count)
      const of = new Errors(precision)
      const [keep, share] = Array.from(Float32Array.from(rates), (rate) => of.exact(rate))
      return Float64Array.from(x, (value, at) => {
        const part = of.multiply(share!, of.exact(value))
        return keep!.value === 0
          ? part.error
          : of.add(of.multiply(keep!, of.exact(before[at]!)), part).error
      })
    },
  }
}

testOp(
  'sizes',
  [
    ...[1, 3, 4, 7, 8, 9, 15, 16, 17, 33].map((n) => problem({ k: 3, n })),
    ...[1, 63, 64, 65, 130].map((k) => problem({ k, n: 20 })),
    ...[problem({ blocks: 3, k: 5, n: 18 }), problem({ t: 3, k: 15, n: 18 })],
    ...[1, 4, 7, 8, 9, 70].map((n) => problem({ kind: 'rows', k: 1, n })),
    problem({ kind: 'rows', blocks: 2, k: 6, n: 11 }),
    problem({ kind: 'rows', t: 3, k: 6, n: 11 }),
  ],
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'rates and norms',
  (['matrix', 'rows'] as const).flatMap((kind) =>
    (
      [
        { name: 'sum', rates: [1, 1] },
        { name: 'first of a sum', rates: [0, 1] },
        { name: 'first of a sum after NaN', rates: [0, 1], before: noise(54, 2).fill(NaN, 9, 12) },
        { name: 'all kept', rates: [1, 0] },
        { name: 'zero norm', norm: 0 },
        { name: 'norm NaN', norm: NaN },
        { name: 'norm infinite', norm: -Infinity },
      ] satisfies Partial<Problem>[]
    ).map((of) => problem({ k: 3, n: 18, kind, ...of })),
  ),
  fullTrainingBackends,
  trainingTeam,
)

testOp(
  'output',
  [2.5, NaN].map((norm) => ({
    ...problem({ k: 40, n: 18, norm }),
    name: `norm ${norm}`,
    record: (ops, { x, rates, norm }) => ops.blend('op', x!, rates!, norm!, 'value'),
    bound: () => [0],
  })),
  trainingBackends,
  trainingTeam,
)

for (const kind of ['matrix', 'rows'] as const) testBits(problem({ kind, blocks: 2, k: 70, n: 75 }))

test('int8 matrices are refused', () => {
  const weight: Weight = { name: 'w', kind: 'int8', blocks: 1, rows: 2, columns: 8 }
  const scales: Weight = { ...weight, name: 'w/scale', kind: 'rows', rows: 1 }
  const ops = new TrainingRecorder(1, 1, new Map([weight, scales].map((one) => [one.name, one])))
  const x = ops.input('x', [2, 8])
  const [rates, norm] = [ops.input('rates', [1, 2]), ops.input('norm', [1, 1])]
  expect(() => ops.blend('op', x, rates, norm, 'w')).toThrow(
    'blend "op" expected a float32 weight, got the int8 matrix "w"',
  )
})
