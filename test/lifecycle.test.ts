/**
 * Objects end once: afterwards calls reject, nothing is opened, and all resources are freed.
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { openCheckpoint, type Stream, type TRecViT, TrecvitError } from '../src/index.ts'
import { openVideo } from '../src/video/index.ts'
import { watchedWorkers } from './faults.ts'
import { goldenUrl } from './goldens.ts'
import { frames, load, logitsOf, plain, shape } from './smallStream.ts'

afterEach(() => {
  vi.useRealTimers()
})

/** All calls of a stream that compute. */
const calls: readonly (readonly [name: string, call: (stream: Stream) => Promise<unknown>])[] = [
  ['push', (stream) => stream.push(frames[0]!)],
  ['trace', (stream) => stream.trace(frames[0]!)],
  ['run', (stream) => stream.run(frames.slice(0, 1)).next()],
  ['reset', (stream) => stream.reset()],
  ['snapshot', (stream) => stream.snapshot()],
  ['moveTo', (stream) => stream.moveTo('wasm')],
]

describe('a stream that has ended', () => {
  test.each(calls)('rejects %s', async (_, call) => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream()
    await stream.push(frames[0]!)
    await stream.dispose()
    await expect(call(stream)).rejects.toThrow('The stream was disposed of; open another one')
    await expect(stream.dispose()).resolves.toBeUndefined()
  })

  test('answers calls made before it ended, and rejects later ones', async () => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream()
    const before = frames.slice(0, 5).map((frame) => stream.push(frame))
    const ending = stream.dispose()
    await expect(stream.push(frames[5]!)).rejects.toBeInstanceOf(TrecvitError)
    await ending
    expect((await Promise.all(before)).map(logitsOf)).toEqual(plain.slice(0, 5))
  })

  test('holds no memory of the device: 200 streams in turn need no more than one', {
    tags: 'slow',
  }, async () => {
    await using model = await load({ device: 'wasm' })
    const sizes: number[] = []
    for (let round = 0; round < 200; round++) {
      await using stream = model.stream()
      await stream.push(frames[0]!)
      sizes.push(model.health.losses)
    }
    expect(new Set(sizes)).toEqual(new Set([0]))
  })
})

describe('a model that has ended', () => {
  const video: NdArray = { data: new Uint8Array(2 * 32 * 32 * 3), shape: [2, ...shape] }
  const cases: readonly (readonly [name: string, call: (model: TRecViT) => unknown])[] = [
    ['forward', (model) => model.forward(video)],
    ['features', (model) => model.features(video)],
    ['classify', (model) => model.classify(video)],
    ['trace', (model) => model.trace(video)],
    ['profile', (model) => model.profile(video)],
    ['stream', (model) => model.stream()],
    [
      'resume',
      async (model) => {
        await using other = await load({ device: 'wasm' })
        return model.resume(await other.stream().snapshot())
      },
    ],
  ]

  test.each(cases)('rejects %s', async (_, call) => {
    const model = await load({ device: 'wasm' })
    await model.dispose()
    await expect((async () => call(model))()).rejects.toThrow(
      'The model was disposed of; load it again',
    )
    await expect(model.dispose()).resolves.toBeUndefined()
    expect(model.health.failure).toBe('the model was disposed of')
  })

  test.each(calls)('ends its streams: %s rejects', async (_, call) => {
    const model = await load({ device: 'wasm' })
    const stream = model.stream()
    await stream.push(frames[0]!)
    await model.dispose()
    await expect(call(stream)).rejects.toThrow('The model was disposed of; load it again')
    await expect(stream.dispose()).resolves.toBeUndefined()
  })

  test('ends all threads, whatever they were doing', { tags: 'slow' }, async () => {
    const workers = watchedWorkers()
    try {
      for (const turns of [0, 1, 5, 50]) {
        const model = await load({ device: 'wasm', threads: 3 })
        const stream = model.stream()
        const answers = frames.map((frame) => stream.push(frame))
        for (let turn = 0; turn < turns; turn++) await sleep(0)
        await model.dispose()
        const results = await Promise.allSettled(answers)
        for (const result of results)
          if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(TrecvitError)
      }
      await vi.waitFor(() => expect(workers.alive()).toBe(0))
    } finally {
      workers.restore()
    }
  })
})

test('a disposed model keeps no memory: not its own, and not what reading its file took', {
  tags: 'slow',
}, () => {
  // In another process: vitest reads the stack of every error, and that frees the objects which the
  // stack refers to.
  const index = new URL('../dist/index.js', import.meta.url).href
  const script = `
    const { setTimeout: sleep } = await import('node:timers/promises')
    const memories = []
    WebAssembly.Memory = class extends WebAssembly.Memory {
      constructor(descriptor) {
        super(descriptor)
        memories.push(new WeakRef(this))
      }
    }
    const { TRecViT } = await import(${JSON.stringify(index)})
    const used = []
    for (let round = 0; round < 9; round++) {
      const model = await TRecViT.load('builtin', { device: 'wasm', threads: 2 })
      await model.stream().push({ data: new Uint8Array(96 * 96 * 3), shape: [96, 96, 3] })
      await model.dispose()
      await sleep(20)
      gc()
      await sleep(20)
      gc()
      used.push(process.memoryUsage().arrayBuffers)
    }
    const alive = memories.filter((memory) => memory.deref())
    console.log(JSON.stringify([used[8] - used[2], memories.length, alive.length]))`
  const { stdout } = spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '-e', script],
    { encoding: 'utf8', timeout: 60_000 },
  )
  const [grown, memories, alive] = JSON.parse(stdout || '[]') as number[]
  // A model has 2.75 MB. Its file takes another 2 MB while it is read.
  expect(grown).toBeLessThan(2e6)
  expect(memories).toBeGreaterThanOrEqual(9)
  expect(alive).toBeLessThanOrEqual(2)
})

describe('a checkpoint that was closed', () => {
  test.each([
    ['an .npz', 'small.npz'],
    ['a deflated .npz', 'mu_deflate.npz'],
    ['a .safetensors file', '../../models/motion.safetensors'],
  ])('rejects reads: %s', { tags: 'slow' }, async (_, name) => {
    const checkpoint = await openCheckpoint(goldenUrl(name))
    const [tensor] = [...checkpoint.tensors.keys()]
    await checkpoint.read(tensor!, () => {})
    const closed = `was closed before "${tensor}" was read; open it again`
    // During a read.
    await expect(checkpoint.read(tensor!, () => checkpoint.close())).resolves.toBeUndefined()
    await expect(checkpoint.read(tensor!, () => {})).rejects.toThrow(closed)
    await expect(checkpoint.close()).resolves.toBeUndefined()

    const other = await openCheckpoint(goldenUrl(name))
    const reads = [...other.tensors.keys()].map((one) => other.read(one, () => {}))
    void other.close()
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') expect(read.reason).toBeInstanceOf(TrecvitError)
    }
  })
})

describe('a video that was closed', () => {
  test('rejects reads with one sentence', async () => {
    const video = await openVideo(new URL('../models/tour.mp4', import.meta.url))
    await video[Symbol.asyncDispose]()
    expect(() => video[Symbol.asyncIterator]()).toThrow(
      'The video was closed: open it again to read it',
    )
    await expect(video.close()).resolves.toBeUndefined()
  })
})
