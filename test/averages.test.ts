/** Many averages on one model: the cost of each, and that averages do not affect each other. */

import { afterEach, describe, expect, test, vi } from 'vitest'
import { create } from 'webgpu'
import { selfTest } from '../src/backend/selfTest.ts'
import { Allocator } from '../src/backend/wasm/allocator.ts'
import { type Average, TRecViT } from '../src/index.ts'
import { recordModel } from '../src/model/graph.ts'
import { noise, tiny, tinyNpz } from './commandLine.ts'
import { gpu } from './gpu.ts'

vi.mock('../src/model/graph.ts', { spy: true })
vi.mock('../src/backend/selfTest.ts', { spy: true })
afterEach(() => vi.mocked(recordModel).mockClear())

const frame = (index: number) => ({ data: noise(768, index), shape: [16, 16, 3] })

/** 500 half-lives and 200 windows, alternating. */
const many: readonly Average[] = Array.from({ length: 700 }, (_, i) =>
  i % 7 < 5 ? { halfLife: 0.01 * (i + 1) ** 1.5 } : { frames: 1 + ((i * 37) % 4096) },
)

/** Returns the logits, averaged over three frames. */
async function answers(model: TRecViT, average: Average): Promise<number[][]> {
  await using stream = model.stream({ average })
  const all = await Promise.all([0, 1, 2].map((index) => stream.push(frame(index))))
  return all.map(({ logits }) => [...logits.data])
}

/** Returns a counter of the allocated blocks of linear memory. */
function countBlocks(): () => number {
  const taken = new Map<number, number>()
  const { take, free } = Allocator.prototype
  vi.spyOn(Allocator.prototype, 'take').mockImplementation(async function (
    this: Allocator,
    bytes,
    what,
  ) {
    const at = await take.call(this, bytes, what)
    taken.set(at, bytes)
    return at
  })
  vi.spyOn(Allocator.prototype, 'free').mockImplementation(function (this: Allocator, at) {
    taken.delete(at)
    free.call(this, at)
  })
  return () => [...taken.values()].reduce((sum, bytes) => sum + bytes, 0)
}

describe('on the CPU', () => {
  const open = () => TRecViT.load(tinyNpz(), { device: 'wasm', deterministic: true, threads: 1 })
  afterEach(() => vi.restoreAllMocks())

  test('700 averages take the memory of two, and answer as if each were the only one', {
    tags: 'slow',
  }, async () => {
    const bytes = countBlocks()
    await using model = await open()
    const all = [await answers(model, many[0]!), await answers(model, many[6]!)]
    const after = bytes()
    for (const average of many) all.push(await answers(model, average))
    expect(bytes()).toBe(after)
    expect(vi.mocked(recordModel).mock.calls.length).toBeLessThanOrEqual(4)
    vi.restoreAllMocks()
    for (let i = 0; i < many.length; i += 33) {
      await using other = await open()
      expect(all[i + 2], JSON.stringify(many[i])).toEqual(await answers(other, many[i]!))
    }
  })

  test('each window allocates memory, and frees it', { tags: 'slow' }, async () => {
    const bytes = countBlocks()
    await using model = await open()
    await answers(model, { frames: 1 })
    const none = bytes()
    const one = model.stream({ average: { frames: 1 } })
    await one.push(frame(0))
    const small = bytes() - none
    const other = model.stream({ average: { frames: 4096 } })
    await other.push(frame(0))
    expect(bytes() - none - 2 * small).toBe(4 * 4095 * tiny.repSize - (64 - 4 * tiny.repSize))
    await other.dispose()
    expect(bytes()).toBe(none + small)
    await one.dispose()
    expect(bytes()).toBe(none)
  })
})

test('on a GPU, 700 averages leave no buffer behind and record two programs', {
  tags: 'slow',
  timeout: 120_000,
}, async () => {
  const entry = create(['backend=null'])
  let alive = 0
  const counted = {
    requestAdapter: async () => {
      const adapter = (await entry.requestAdapter())!
      const device = await adapter.requestDevice()
      const createBuffer = device.createBuffer.bind(device)
      device.createBuffer = (wanted) => {
        const buffer = createBuffer(wanted)
        const destroy = buffer.destroy.bind(buffer)
        alive++
        buffer.destroy = () => {
          alive--
          return destroy()
        }
        return buffer
      }
      // A model rejects the null backend by its name, and because its results are wrong.
      return {
        info: { device: 'counted', isFallbackAdapter: true },
        limits: adapter.limits,
        features: adapter.features,
        requestDevice: async () => device,
      } as unknown as GPUAdapter
    },
  } as unknown as GPU
  vi.mocked(selfTest).mockResolvedValueOnce(null)
  await using model = await TRecViT.load(tinyNpz(), { device: 'webgpu', gpu: counted })
  await answers(model, many[0]!)
  await answers(model, many[6]!)
  const after = alive
  for (const average of many) await answers(model, average)
  expect(alive).toBe(after)
  expect(vi.mocked(recordModel).mock.calls.length).toBeLessThanOrEqual(4)
})

describe.each([
  ['wasm', true],
  ['webgpu', gpu],
] as const)('concurrent streams with different averages, on %s', (device, entry) => {
  test.skipIf(!entry)('give the answers of separate streams', { tags: 'slow' }, async () => {
    await using model = await TRecViT.load(tinyNpz(), {
      device,
      ...(device === 'webgpu' && { gpu: gpu! }),
    })
    const averages: Average[] = [
      'all',
      { frames: 1 },
      { frames: 2 },
      { halfLife: 0.5 },
      { halfLife: 2 },
    ]
    const alone: Awaited<ReturnType<typeof answers>>[] = []
    for (const average of averages) alone.push(await answers(model, average))
    const streams = averages.map((average) => model.stream({ average }))
    const together = await Promise.all(
      [0, 1, 2].flatMap((index) => streams.map((stream) => stream.push(frame(index)))),
    )
    streams.forEach((_, i) =>
      expect(
        [0, 1, 2].map((index) => [...together[index * streams.length + i]!.logits.data]),
      ).toEqual(alone[i]),
    )
    for (const stream of streams) await stream.dispose()
  })
})
