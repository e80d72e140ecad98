/** Which chunks of several streams run together, and in which order. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { Batcher, type Batches, type StreamChunk } from '../src/backend/webgpu/batcher.ts'
import { StreamBatches } from '../src/backend/webgpu/batches.ts'
import type { Slot } from '../src/backend/webgpu/slab.ts'

const slabOf = (streams: number) => ({ streams }) as Slot['slab']
const slotOf = (slab: Slot['slab'], slot: number): Slot => ({ slab, slot, averageFrames: 0 })

/** Batches that are recorded as text like "a0 b3", and end when the test says so. */
function recorded(log: string[], largest = Infinity) {
  const ends: ((error?: Error) => void)[] = []
  const batches: Batches = {
    sizeFor: (count) => Math.min(count, largest),
    run(chunks) {
      log.push(chunks.map(nameOf).join(' '))
      return new Promise((resolve, reject) =>
        ends.push((error) => (error ? reject(error) : resolve(chunks.map(outputsOf)))),
      )
    },
  }
  return { batches, end: (error?: Error) => ends.shift()!(error) }
}
const nameOf = ({ state, frame }: StreamChunk) => `${'abcdef'[state.slot]}${frame}`
const outputsOf = ({ frame }: StreamChunk) => ({ frame: Float32Array.of(frame) })

test('a stream alone is issued at once, twice, and later chunks wait', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log)
  const batcher = new Batcher()
  const state = slotOf(slabOf(1), 0)
  const results = [0, 1, 2].map((frame) => batcher.run(batches, { state, frame, inputs: {} }))
  expect(log).toEqual(['a0', 'a1'])
  end()
  await results[0]
  await turn()
  await turn()
  expect(log).toEqual(['a0', 'a1', 'a2'])
  end()
  end()
  expect((await Promise.all(results)).map(({ frame }) => frame![0])).toEqual([0, 1, 2])
})

test('chunks of one turn of the event loop are one batch, and each gets its outputs', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log)
  const batcher = new Batcher()
  const slab = slabOf(3)
  const results = [4, 0, 7].map((frame, slot) =>
    batcher.run(batches, { state: slotOf(slab, slot), frame, inputs: {} }),
  )
  expect(log).toEqual([])
  await turn()
  expect(log).toEqual(['a4 b0 c7'])
  end()
  expect((await Promise.all(results)).map(({ frame }) => frame![0])).toEqual([4, 0, 7])
})

test('a batch has one chunk of a stream, one program and one slab, and keeps order', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log)
  const other = recorded(log)
  const batcher = new Batcher()
  const slab = slabOf(4)
  const [a, b, c] = [0, 1, 2].map((slot) => slotOf(slab, slot)) as [Slot, Slot, Slot]
  const d = slotOf(slabOf(2), 3)
  const run = (of: Batches, state: Slot, frame: number) =>
    void batcher.run(of, { state, frame, inputs: {} })
  run(batches, a, 0)
  run(other.batches, b, 0)
  run(batches, a, 1)
  run(batches, b, 1)
  run(batches, c, 0)
  run(batches, d, 0)
  await turn()
  // b1 waits for b0, which is of another program.
  expect(log).toEqual(['a0 c0', 'b0'])
  end()
  await turn()
  await turn()
  expect(log.slice(2)).toEqual(['a1 b1'])
  other.end()
  await turn()
  await turn()
  expect(log.slice(3)).toEqual(['d0'])
})

test('other work of a stream keeps its place', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log, 1)
  const batcher = new Batcher()
  const slab = slabOf(2)
  const [a, b] = [slotOf(slab, 0), slotOf(slab, 1)]
  const work = (name: string) => async () => void log.push(name)
  void batcher.after(a, work('read a'))
  for (const frame of [0, 1])
    for (const state of [a, b]) void batcher.run(batches, { state, frame, inputs: {} })
  const read = batcher.after(b, work('read b'))
  void batcher.run(batches, { state: b, frame: 2, inputs: {} })
  await turn()
  expect(log).toEqual(['read a', 'a0', 'b0'])
  for (let rest = 5; rest > 0; rest--) {
    end()
    await turn()
    await turn()
  }
  await read
  expect(log.slice(3)).toEqual(['a1', 'b1', 'read b', 'b2'])
})

test('chunks of a freed state, and the work after them, reject; others go on', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log)
  const batcher = new Batcher()
  const slab = slabOf(2)
  const [a, b] = [slotOf(slab, 0), slotOf(slab, 1)]
  const frame = batcher.run(batches, { state: a, frame: 0, inputs: {} })
  const read = batcher.after(a, async () => log.push('read'))
  const other = batcher.run(batches, { state: b, frame: 0, inputs: {} })
  batcher.drop(a)
  await expect(frame).rejects.toThrow('The state of the stream was freed')
  await expect(read).rejects.toThrow('The state of the stream was freed')
  await turn()
  end()
  await other
  expect(log).toEqual(['b0'])
})

test('the error of a batch rejects each of its chunks, and the next batch runs', async () => {
  const log: string[] = []
  const { batches, end } = recorded(log)
  const batcher = new Batcher()
  const slab = slabOf(2)
  const run = (slot: number) =>
    batcher.run(batches, { state: slotOf(slab, slot), frame: 0, inputs: {} })
  const results = [run(0), run(1)].map((result) => expect(result).rejects.toThrow('lost'))
  await turn()
  end(new Error('lost'))
  await Promise.all(results)
  const next = run(0)
  await turn()
  end()
  await next
  expect(log).toEqual(['a0 b0', 'a0'])
})

test('batches are powers of two that fit, and smaller until they are ready', async () => {
  const freed: number[] = []
  const replayOf = (streams: number) => ({
    submit: async () => ({}),
    dispose: () => void freed.push(streams),
  })
  const made: number[] = []
  const batches = new StreamBatches(replayOf(1), async (streams) => {
    made.push(streams)
    if (streams > 8) throw new Error('does not fit')
    return replayOf(streams)
  })
  const chunk = { state: slotOf(slabOf(1), 0), frame: 0, inputs: {} }
  // Until a duration is known, streams run alone.
  expect(batches.sizeFor(7)).toBe(1)
  await batches.run([chunk])
  expect(batches.sizeFor(7)).toBe(1)
  await turn()
  expect([1, 3, 4, 7].map((count) => batches.sizeFor(count))).toEqual([1, 1, 4, 4])
  await turn()
  expect(batches.sizeFor(100)).toBe(4)
  await turn()
  expect(batches.sizeFor(100)).toBe(4)
  await turn()
  expect(batches.sizeFor(100)).toBe(4)
  await turn()
  expect(batches.sizeFor(100)).toBe(8)
  expect(made).toEqual([4, 2, 32, 16, 8])
  batches.dispose()
  expect(freed).toEqual([4, 2, 8])
})

test('a slow GPU gets small batches, and a replay that is ready too late is freed', async () => {
  const freed: number[] = []
  const replayOf = (streams: number) => ({
    submit: async () => ({}),
    dispose: () => void freed.push(streams),
  })
  const batches = new StreamBatches(replayOf(1), async (streams) => replayOf(streams))
  const now = vi.spyOn(performance, 'now').mockReturnValueOnce(1000).mockReturnValueOnce(1130)
  await batches.run([{ state: slotOf(slabOf(1), 0), frame: 0, inputs: {} }])
  now.mockRestore()
  // 500 ms are three frames of 130 ms.
  batches.sizeFor(32)
  batches.dispose()
  await turn()
  expect(freed).toEqual([2])
})
