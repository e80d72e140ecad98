/** Streams that lose their device: each result arrives once, in order, and is correct. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { type FrameAnswer, type StreamOptions, TRecViT, TrecvitError } from '../src/index.ts'
import { configOf } from '../src/model/config.ts'
import { fragile, watched } from './faults.ts'
import { adapter, gpu } from './gpu.ts'

/** Error bound of a GPU, relative to the largest logit. */
const BOUND = 1e-4
const COUNT = 200

let bytes: Uint8Array
let frames: NdArray<Uint8Array>[]

beforeAll(async () => {
  // A model so small that a software GPU needs only milliseconds. With a multiple of four classes
  // there are fewer kernels to compile.
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 8 })
  bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const next = noise(5)
  frames = Array.from({ length: COUNT }, () => ({
    data: Uint8Array.from({ length: 32 * 32 * 3 }, () => 128 + 127 * next()),
    shape: [32, 32, 3],
  }))
})

const load = (options: Parameters<typeof TRecViT.load>[1] = {}) => TRecViT.load(bytes, options)

async function undisturbed(options: StreamOptions = {}, all = frames): Promise<FrameAnswer[]> {
  await using model = await load({ device: 'wasm' })
  const stream = model.stream({ average: 'all', ...options })
  return await Promise.all(all.map((frame) => stream.push(frame)))
}

function expectSame(got: readonly FrameAnswer[], want: readonly FrameAnswer[]): void {
  expect(got.map(({ frame }) => frame)).toEqual(want.map(({ frame }) => frame))
  const largest = Math.max(...want.flatMap(({ logits }) => [...logits.data].map(Math.abs)))
  got.forEach(({ logits }, index) =>
    logits.data.forEach((value, c) => {
      if (!(Math.abs(value - want[index]!.logits.data[c]!) <= BOUND * largest))
        expect.fail(
          `frame ${index}, class ${c}: expected ${want[index]!.logits.data[c]}, got ${value}`,
        )
    }),
  )
}

test('without a GPU, auto takes the CPU and says why, and webgpu fails', async () => {
  const none = { requestAdapter: async () => null } as unknown as GPU
  const model = await load({ gpu: none })
  expect(model.device).toMatchObject({
    backend: 'wasm',
    reason: expect.stringContaining('WebGPU has no adapter'),
  })
  await expect(load({ device: 'webgpu', gpu: none })).rejects.toThrow(
    'There is no WebGPU device: WebGPU has no adapter',
  )
  const broken = {
    requestAdapter: async () => {
      throw new Error('driver crashed')
    },
  } as unknown as GPU
  expect((await load({ gpu: broken })).device.reason).toContain('WebGPU refuses: driver crashed')
})

describe.skipIf(!gpu)('on a GPU', { tags: 'gpu' }, () => {
  test('auto refuses one that the CPU draws, and says so, and takes one of hardware', async () => {
    const model = await load({ gpu: gpu! })
    if (!adapter!.info.isFallbackAdapter)
      expect(model.device).toMatchObject({ backend: 'webgpu', reason: null })
    else
      expect(model.device).toMatchObject({
        backend: 'wasm',
        reason: expect.stringContaining('it is a software renderer'),
      })
  })

  test('a lying adapter fails the self-test', { tags: 'slow' }, async () => {
    // Every result is read back as zeros.
    const { gpu: entry } = fragile((staging) => {
      staging.getMappedRange = (_, size) => new ArrayBuffer(size!)
    })
    await expect(load({ device: 'webgpu', gpu: entry })).rejects.toThrow(
      'it failed the self-test: it computes "encoded" with an error of 1.0e+0',
    )
  })

  test('answers are those of the CPU within the bound', async () => {
    await using model = await load({ device: 'webgpu', gpu: gpu! })
    expect(model.device.backend).toBe('webgpu')
    const stream = model.stream({ average: { frames: 3 } })
    expectSame(
      await Promise.all(frames.map((frame) => stream.push(frame))),
      await undisturbed({ average: { frames: 3 } }),
    )
    await stream.dispose()
  })

  test('50 lost devices, at any moment, cost no answer', {
    tags: 'slow',
    timeout: 300_000,
  }, async () => {
    const { gpu: entry, lose, opened } = fragile()
    await using model = await load({ device: 'webgpu', gpu: entry })
    const stream = model.stream({ average: 'all' })
    const next = noise(11)
    const strikes = new Set<number>()
    while (strikes.size < 50) strikes.add(Math.floor(((next() + 1) / 2) * COUNT))
    const answers: Promise<FrameAnswer>[] = []
    for (const [index, frame] of frames.entries()) {
      answers.push(stream.push(frame))
      if (strikes.has(index)) {
        // Before the submit, between submit and mapping, or after some results; sometimes again
        // during recovery.
        for (let turns = Math.floor((next() + 1) * 20); turns > 0; turns--) await Promise.resolve()
        if (next() > 0) await answers[Math.max(0, index - 2)]
        if (next() > 0) await answers[index]
        // If the next device is lost too, the CPU takes over. Move back to the GPU, where more can
        // be lost.
        while (stream.device.backend === 'wasm') await stream.moveTo('webgpu').catch(() => {})
        lose()
        if (next() > 0.5) setTimeout(lose, 20 * (next() + 1))
      } else if (index % 7 === 0) await answers[index]
    }
    expectSame(await Promise.all(answers), await undisturbed())
    expect(opened()).toBeGreaterThan(10)
  })

  // A software GPU compiles the pipelines of three self-tests, which takes seconds each.
  test('devices that are really destroyed, one after the other', {
    tags: 'slow',
    timeout: 180_000,
  }, async () => {
    const { gpu: entry, devices } = watched()
    await using model = await load({ device: 'webgpu', gpu: entry })
    const stream = model.stream({ average: 'all' })
    const answers: Promise<FrameAnswer>[] = []
    for (const [index, frame] of frames.entries()) {
      answers.push(stream.push(frame))
      if (index === 60) devices[devices.length - 1]!.destroy()
      if (index === 130) {
        await answers[128]
        devices[devices.length - 1]!.destroy()
      }
    }
    expectSame(await Promise.all(answers), await undisturbed())
    expect(devices.length).toBe(3)
  })

  test('with no device left, the CPU goes on, and the stream says why', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, devices } = watched()
    await using model = await load({ device: 'webgpu', gpu: entry })
    const stream = model.stream({ average: { halfLife: 4 } })
    const answers = frames.slice(0, 50).map((frame) => stream.push(frame))
    await answers[20]
    entry.requestAdapter = async () => null
    devices[0]!.destroy()
    answers.push(...frames.slice(50).map((frame) => stream.push(frame)))
    expectSame(await Promise.all(answers), await undisturbed({ average: { halfLife: 4 } }))
    expect(stream.device).toMatchObject({
      backend: 'wasm',
      reason: expect.stringContaining('the GPU was lost'),
    })
    expect(model.device.backend).toBe('wasm')
  })

  test('100 frames on the GPU, 100 on the CPU and 100 on the GPU again, ' +
    'and snapshots from one to the other', { tags: 'slow' }, async () => {
    await using model = await load({ device: 'webgpu', gpu: fragile().gpu })
    const stream = model.stream({ average: 'all' })
    const all = [...frames, ...frames.slice(0, 100)]
    const answers: Promise<FrameAnswer>[] = []
    const on: string[] = []
    for (const [index, frame] of all.entries()) {
      // Not awaited: the move takes effect between the earlier and the later pushes.
      if (index === 100) void stream.moveTo('wasm')
      if (index === 200) void stream.moveTo('webgpu')
      answers.push(
        stream.push(frame).then((answer) => {
          on.push(stream.device.backend)
          return answer
        }),
      )
    }
    expectSame(await Promise.all(answers), await undisturbed({}, all))
    const parts = [on.slice(0, 99), on.slice(101, 199), on.slice(201)]
    expect(parts.map((part) => [...new Set(part)])).toEqual([['webgpu'], ['wasm'], ['webgpu']])

    const other = await load({ device: 'wasm' })
    const again = await other.resume(await stream.snapshot())
    expect(again.frame).toBe(all.length)
    await again.push(frames[0]!)
    const back = await model.resume(await again.snapshot())
    expect(back.frame).toBe(all.length + 1)
  })

  test('a stream stays where it is if the other device cannot be opened', async () => {
    const { gpu: entry } = watched()
    entry.requestAdapter = async () => null
    await using model = await load({ device: 'wasm', gpu: entry })
    const stream = model.stream({ average: 'all' })
    await stream.push(frames[0]!)
    await expect(stream.moveTo('webgpu')).rejects.toBeInstanceOf(TrecvitError)
    expect((await stream.push(frames[1]!)).frame).toBe(1)
  })

  test('loading, running and disposing leave no buffer behind, round after round', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, alive, opened } = fragile()
    for (let round = 0; round < 20; round++) {
      const model = await load({ device: 'webgpu', gpu: entry })
      const stream = model.stream({ average: 'all' })
      await stream.push(frames[round]!)
      expect(alive().length).toBeGreaterThan(30)
      await stream.dispose()
      await model.dispose()
      expect(alive(), `buffers after round ${round}`).toEqual([])
    }
    expect(opened()).toBe(20)
  })

  test('disposing leaves no device behind', { tags: 'slow' }, async () => {
    const { gpu: entry, devices } = watched()
    for (let round = 0; round < 2; round++) {
      const model = await load({ device: 'webgpu', gpu: entry })
      const stream = model.stream({ average: 'all' })
      await stream.push(frames[0]!)
      await stream.dispose()
      await model.dispose()
    }
    expect(devices).toHaveLength(2)
    for (const device of devices) expect((await device.lost).reason).toBe('destroyed')
  })
})
