/**
 * A program may have several inputs with different dtypes, which the caller writes before a replay.
 */
import { describe, expect, test } from 'vitest'
import { Recorder } from '../src/program/record.ts'
import { backends } from './backends.ts'
import { noise } from './ops.ts'

const kernel = { name: 'kernel', kind: 'matrix', blocks: 1, rows: 12, columns: 5 } as const

describe.each(backends)('inputs on $name', ({ create }) => {
  test('each name fills its tensor, at every replay', async () => {
    const ops = new Recorder(1, 2, new Map([['kernel', kernel]]))
    const patches = ops.patchify('patches', ops.pixels(2, 6, 'u8'), { lead: 0, patchSize: [2, 2] })
    const other = ops.input('other', [1, 2, 3, 5])
    const early = ops.linear('early', patches, 'kernel')
    const program = ops.end({ sum: ops.linear('sum', patches, 'kernel', { add: other }), early })
    const backend = await create([kernel])
    backend.write(kernel, noise(60, 1), 0, 5, 0)
    const replay = await backend.prepare(program)
    const state = await backend.createState([])
    for (const seed of [1, 2]) {
      const pixels = Uint8Array.from(noise(72, seed), (value) => 128 + 100 * value)
      const added = noise(30, seed, 3)
      const { sum, early } = await replay.run(state, 0, { pixels, other: added })
      sum!.forEach((value, i) => expect(value).toBe(Math.fround(early![i]! + added[i]!)))
    }
    for (const part of [replay, state, backend]) part.dispose()
  })
})
