import { expect, test } from 'vitest'
import type { Weight } from '../../src/program/program.ts'
import { TrainingRecorder } from '../../src/train/recorder.ts'
import { noise, type OpCase, testOp } from '../ops.ts'
import { fullTrainingBackends, trainingTeam } from './backends.ts'

function problem(kind: 'matrix' | 'rows', blocks: number, rows: number, columns: number): OpCase {
  const values = noise(blocks * rows * columns, 1)
  return {
    name: `${kind} ${blocks}×${rows}×${columns}`,
    inputs: {},
    weights: { weight: { kind, blocks, rows, columns, values } },
    record: (ops) => ops.weightValues('op', 'weight'),
    bound: (_, want) => new Float64Array(want.length),
  }
}

testOp(
  'sizes',
  (['matrix', 'rows'] as const).flatMap((kind) => [
    ...[1, 3, 4, 5, 8, 9, 16, 31, 32, 130].map((columns) => problem(kind, 1, 3, columns)),
    ...[1, 2, 100].map((rows) => problem(kind, 1, rows, 12)),
    ...[2, 3].map((blocks) => problem(kind, blocks, 5, 11)),
  ]),
  fullTrainingBackends,
  trainingTeam,
)

test('int8 matrices are refused', () => {
  const shape = { blocks: 1, rows: 2, columns: 8 }
  const weight: Weight = { name: 'w', kind: 'int8', ...shape }
  const scales: Weight = { name: 'w/scale', kind: 'rows', ...shape, rows: 1 }
  const ops = new TrainingRecorder(1, 1, new Map([weight, scales].map((one) => [one.name, one])))
  expect(() => ops.weightValues('op', 'w')).toThrow(
    'weightValues "op" expected a float32 weight, got the int8 matrix "w"',
  )
})
