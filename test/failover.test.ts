/** Streams whose device is lost: each frame is answered once, in order and correctly. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { type FrameAnswer, type StreamOptions, TRecViT, TrecvitError } from '../src/index.ts'
import { configOf } from '../src/model/config.ts'
import { fragileGpu, realGpu } from './faults.ts'
import { adapter, gpu } from './gpu.ts'

/** Error bound of a GPU, relative to the largest logit. */
const BOUND = 1e-4
const COUNT = 200

let bytes: Uint8Array
let frames: NdArray<Uint8Array>[]

beforeAll(async () => {
  // A software GPU computes a frame of this model in milliseconds. With a multiple of four classes
  // it compiles fewer kernels.
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 8 })
  bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const random = noise(5)
  frames = Array.from({ length: COUNT }, () => ({
    data: Uint8Array.from({ length: 32 * 32 * 3 }, () => 128 + 127 * random()),
    shape: [32, 32, 3],
  }))
})

const load = (options: Parameters<typeof TRecViT.load>[1] = {}) => TRecViT.load(bytes, options)

/** Returns the answers of the CPU, without a loss. */
async function expectedAnswers(options: StreamOptions = {}, all = frames): Promise<FrameAnswer[]> {
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

test("without a GPU, 'auto' uses the CPU and says why, and 'webgpu' fails", async () => {
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
  test("'auto' uses a hardware GPU; for a software GPU it uses the CPU and says why", async () => {
    const model = await load({ gpu: gpu! })
    if (!adapter!.info.isFallbackAdapter)
      expect(model.device).toMatchObject({ backend: 'webgpu', reason: null })
    else
      expect(model.device).toMatchObject({
        backend: 'wasm',
        reason: expect.stringContaining('it is a software renderer'),
      })
  })

  test('a GPU that returns wrong results fails the self-test', { tags: 'slow' }, async () => {
    // This GPU returns zeros for all results.
    const { gpu: entry } = fragileGpu((staging) => {
      staging.getMappedRange = (_, size) => new ArrayBuffer(size!)
    })
    await expect(load({ device: 'webgpu', gpu: entry })).rejects.toThrow(
      'it failed the self-test: it computes "encoded" with an error of 1.0e+0',
    )
  })

  test('answers equal those of the CPU within the bound', { tags: 'slow' }, async () => {
    await using model = await load({ device: 'webgpu', gpu: gpu! })
    expect(model.device.backend).toBe('webgpu')
    const stream = model.stream({ average: { frames: 3 } })
    expectSame(
      await Promise.all(frames.map((frame) => stream.push(frame))),
      await expectedAnswers({ average: { frames: 3 } }),
    )
    await stream.dispose()
  })

  test('each frame is answered once when 50 devices are lost at random times', {
    tags: 'slow',
    timeout: 300_000,
  }, async () => {
    const { gpu: entry, loseDevice, opened } = fragileGpu()
    await using model = await load({ device: 'webgpu', gpu: entry })
    const stream = model.stream({ average: 'all' })
    const random = noise(11)
    const lossesAt = new Set<number>()
    while (lossesAt.size < 50) lossesAt.add(Math.floor(((random() + 1) / 2) * COUNT))
    const answers: Promise<FrameAnswer>[] = []
    for (const [index, frame] of frames.entries()) {
      answers.push(stream.push(frame))
      if (lossesAt.has(index)) {
        // The loss comes before the submit, between submit and mapping, or after some results.
        for (let turns = Math.floor((random() + 1) * 20); turns > 0; turns--)
          await Promise.resolve()
        if (random() > 0) await answers[Math.max(0, index - 2)]
        if (random() > 0) await answers[index]
        // After several losses in a row the stream is on the CPU. Move it back to the GPU.
        while (stream.device.backend === 'wasm') await stream.moveTo('webgpu').catch(() => {})
        loseDevice()
        // Sometimes the next device is lost during recovery.
        if (random() > 0.5) setTimeout(loseDevice, 20 * (random() + 1))
      } else if (index % 7 === 0) await answers[index]
    }
    expectSame(await Promise.all(answers), await expectedAnswers())
    expect(opened()).toBeGreaterThan(10)
  })

  // A software GPU takes seconds to compile the kernels of each device.
  test('each frame is answered once when two real devices are destroyed', {
    tags: 'slow',
    timeout: 180_000,
  }, async () => {
    const { gpu: entry, devices } = realGpu()
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
    expectSame(await Promise.all(answers), await expectedAnswers())
    expect(devices.length).toBe(3)
  })

  test('if no GPU can be opened after a loss, the CPU continues, and the device says why', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, devices } = realGpu()
    await using model = await load({ device: 'webgpu', gpu: entry })
    const stream = model.stream({ average: { halfLife: 4 } })
    const answers = frames.slice(0, 50).map((frame) => stream.push(frame))
    await answers[20]
    entry.requestAdapter = async () => null
    devices[0]!.destroy()
    answers.push(...frames.slice(50).map((frame) => stream.push(frame)))
    expectSame(await Promise.all(answers), await expectedAnswers({ average: { halfLife: 4 } }))
    expect(stream.device).toMatchObject({
      backend: 'wasm',
      reason: expect.stringContaining('the GPU was lost'),
    })
    expect(model.device.backend).toBe('wasm')
  })

  test('a stream moves from GPU to CPU and back, and snapshots are resumed on the other', {
    tags: 'slow',
  }, async () => {
    await using model = await load({ device: 'webgpu', gpu: fragileGpu().gpu })
    const stream = model.stream({ average: 'all' })
    const all = [...frames, ...frames.slice(0, 100)]
    const answers: Promise<FrameAnswer>[] = []
    const backends: string[] = []
    for (const [index, frame] of all.entries()) {
      // Not awaited: the move takes effect between the earlier and the later pushes.
      if (index === 100) void stream.moveTo('wasm')
      if (index === 200) void stream.moveTo('webgpu')
      answers.push(
        stream.push(frame).then((answer) => {
          backends.push(stream.device.backend)
          return answer
        }),
      )
    }
    expectSame(await Promise.all(answers), await expectedAnswers({}, all))
    const parts = [backends.slice(0, 99), backends.slice(101, 199), backends.slice(201)]
    expect(parts.map((part) => [...new Set(part)])).toEqual([['webgpu'], ['wasm'], ['webgpu']])

    const cpuModel = await load({ device: 'wasm' })
    const onCpu = await cpuModel.resume(await stream.snapshot())
    expect(onCpu.frame).toBe(all.length)
    await onCpu.push(frames[0]!)
    const onGpu = await model.resume(await onCpu.snapshot())
    expect(onGpu.frame).toBe(all.length + 1)
  })

  test('a stream stays on its device if the other one cannot be opened', async () => {
    const { gpu: entry } = realGpu()
    entry.requestAdapter = async () => null
    await using model = await load({ device: 'wasm', gpu: entry })
    const stream = model.stream({ average: 'all' })
    await stream.push(frames[0]!)
    await expect(stream.moveTo('webgpu')).rejects.toBeInstanceOf(TrecvitError)
    expect((await stream.push(frames[1]!)).frame).toBe(1)
  })

  test('20 times: after a model is disposed of, no buffer is left', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, buffers, opened } = fragileGpu()
    for (let round = 0; round < 20; round++) {
      const model = await load({ device: 'webgpu', gpu: entry })
      const stream = model.stream({ average: 'all' })
      await stream.push(frames[round]!)
      expect(buffers().length).toBeGreaterThan(30)
      await stream.dispose()
      await model.dispose()
      expect(buffers(), `buffers after round ${round}`).toEqual([])
    }
    expect(opened()).toBe(20)
  })

  test('disposing of a model destroys its device', { tags: 'slow' }, async () => {
    const { gpu: entry, devices } = realGpu()
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
