import { expect, test } from 'vitest'
import { openTrainingCpu } from '../../src/train/index.ts'
import type { BackendUnderTest } from '../backends.ts'
import { type OpCase, runOp } from '../ops.ts'
import { trainingBackends } from './backends.ts'

/** Registers a test: results are bit-identical in both exact builds and on 1 to 4 threads. */
export function testBits(op: OpCase): void {
  test(`has the same bits everywhere: ${op.name}`, { tags: 'slow' }, async () => {
    const exact = trainingBackends.filter(({ name }) => /^wasm( wide)?$/.test(name))
    const threads = [1, 2, 4].map(
      (threads): BackendUnderTest['create'] =>
        (weights) =>
          openTrainingCpu(weights, 'simd', { threads }),
    )
    const results: unknown[] = []
    for (const create of [...exact.map(({ create }) => create), ...threads])
      results.push((await runOp(create, op)).outputs)
    for (const result of results) expect(result).toEqual(results[0])
  })
}
