/**
 * Every object ends once: after its end nothing answers, nothing is opened, and nothing is alive.
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import {
  configOf,
  type FrameAnswer,
  openCheckpoint,
  type Stream,
  TRecViT,
  TrecvitError,
} from '../src/index.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { ahead } from '../src/stream/ahead.ts'
import { openVideo } from '../src/video/index.ts'
import { deaths, fragile, watchedWorkers } from './faults.ts'
import { goldenUrl } from './goldens.ts'
import { gpu } from './gpu.ts'
import { joined } from './joined.ts'

const COUNT = 40
const shape = [32, 32, 3]
let bytes: Uint8Array
let frames: NdArray<Uint8Array>[]
let plain: number[][]

const load = (options: Parameters<typeof TRecViT.load>[1] = {}): Promise<TRecViT> =>
  TRecViT.load(bytes, { threads: 2, ...options })
const logitsOf = ({ logits }: FrameAnswer): number[] => [...logits.data]

beforeAll(async () => {
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 5 })
  bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const next = noise(5)
  frames = Array.from({ length: COUNT }, () => ({
    data: Uint8Array.from({ length: 32 * 32 * 3 }, () => 128 + 127 * next()),
    shape,
  }))
  await using model = await load({ device: 'wasm' })
  const stream = model.stream()
  plain = (await Promise.all(frames.map((frame) => stream.push(frame)))).map(logitsOf)
})

afterEach(() => {
  vi.useRealTimers()
})

/** Every call of a stream that computes. */
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

  test('has answered what was asked for before, and rejects what comes while it ends', async () => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream()
    const before = frames.slice(0, 5).map((frame) => stream.push(frame))
    const ending = stream.dispose()
    await expect(stream.push(frames[5]!)).rejects.toBeInstanceOf(TrecvitError)
    await ending
    expect((await Promise.all(before)).map(logitsOf)).toEqual(plain.slice(0, 5))
  })

  test('holds no memory of the device: 200 streams in turn need no more than one', async () => {
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
  const asked: readonly (readonly [name: string, call: (model: TRecViT) => unknown])[] = [
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

  test.each(asked)('rejects %s', async (_, call) => {
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

  test('leaves no thread behind, whatever it was doing', async () => {
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
  // In a process of its own: vitest reads the stack of every error, which frees what the stack
  // refers to.
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
  // A model has 2.75 MB, and its file another 2 MB while it is read.
  expect(grown).toBeLessThan(2e6)
  expect(memories).toBeGreaterThanOrEqual(9)
  expect(alive).toBeLessThanOrEqual(2)
})

describe.each(deaths)('a thread that dies (%s)', (death) => {
  const passTime = (): void => {
    if (death === 'silent') vi.advanceTimersByTime(70_000)
  }

  test('costs no answer, and no bit', async () => {
    if (death === 'silent') vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const workers = watchedWorkers()
    try {
      await using model = await load({ device: 'wasm', threads: 2 })
      const [one, other] = [model.stream(), model.stream()]
      const answers: Promise<FrameAnswer>[] = []
      const others: Promise<FrameAnswer>[] = []
      for (const [index, frame] of frames.entries()) {
        answers.push(one.push(frame))
        others.push(other.push(frame))
        if (index === 12 || index === 25) {
          await answers[index - 1]
          workers.kill(death, index % 2)
          await sleep(5)
          passTime()
        }
      }
      expect((await Promise.all(answers)).map(logitsOf)).toEqual(plain)
      expect((await Promise.all(others)).map(logitsOf)).toEqual(plain)
      expect(model.health).toEqual({ losses: 2, failure: null })
      // Each loss, of either stream, started one team.
      expect(workers.started()).toBe(6)
      await vi.waitFor(() => expect(workers.alive()).toBe(2))
    } finally {
      workers.restore()
    }
  })
})

test(
  'threads that die again and again end the work with a sentence, ' +
    'and the next frame starts them again',
  async () => {
    const workers = watchedWorkers()
    try {
      await using model = await load({ device: 'wasm', threads: 1 })
      const stream = model.stream()
      await stream.push(frames[0]!)
      // No worker answers a call to work: each dies instead.
      workers.dieAtWork(true)
      const lost = stream.push(frames[1]!)
      const rest = Promise.allSettled(frames.slice(2, 6).map((frame) => stream.push(frame)))
      await expect(lost).rejects.toThrow(
        joined(
          /^The CPU backend failed 4 times in a row \(A thread of the CPU backend failed /,
          /\(.*\)\); the next frame starts it again$/,
        ),
      )
      for (const result of await rest)
        expect(result).toMatchObject({
          status: 'rejected',
          reason: expect.any(TrecvitError) as TrecvitError,
        })
      workers.dieAtWork(false)
      expect(model.health.losses).toBeGreaterThan(2)
      const answers: FrameAnswer[] = []
      for (const frame of frames.slice(1, 4)) answers.push(await stream.push(frame))
      expect(answers.map(logitsOf)).toEqual(plain.slice(1, 4))
      expect(model.health.failure).toBeNull()
    } finally {
      workers.restore()
    }
  },
)

describe('a checkpoint that was closed', () => {
  test.each([
    ['an .npz', 'small.npz'],
    ['a deflated .npz', 'mu_deflate.npz'],
    ['a .safetensors file', '../../models/motion.safetensors'],
  ])('rejects reads: %s', async (_, name) => {
    const checkpoint = await openCheckpoint(goldenUrl(name))
    const [tensor] = [...checkpoint.tensors.keys()]
    await checkpoint.read(tensor!, () => {})
    const closed = `was closed before "${tensor}" was read; open it again`
    // In the middle of a read.
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
  test('cannot be read, and says so', async () => {
    const video = await openVideo(new URL('../models/tour.mp4', import.meta.url))
    await video[Symbol.asyncDispose]()
    expect(() => video[Symbol.asyncIterator]()).toThrow(
      'The video was closed: open it again to read it',
    )
    await expect(video.close()).resolves.toBeUndefined()
  })
})

describe('programs', () => {
  test('are kept up to a number, and the rest is made again', async () => {
    await using model = await load({ device: 'wasm' })
    const { engine } = sessionsOf(model).open({ b: 1, recent: 'all', encoded: false })
    for (let round = 0; round < 2; round++) {
      for (let b = 1; b <= 40; b++) {
        await using stream = model.stream({ b })
        const data = new Uint8Array(b * 32 * 32 * 3)
        for (let video = 0; video < b; video++) data.set(frames[0]!.data, video * 32 * 32 * 3)
        const { logits } = await stream.push({ data, shape: [b, ...shape] })
        expect([...logits.data.slice(-5)]).toEqual(plain[0])
        expect(engine.replays).toBeLessThanOrEqual(16)
      }
    }
  })
})

describe('a queue', () => {
  test('says when it is short, and refuses what would fill memory', async () => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream({ b: 2000 })
    const data = new Float32Array(2000 * 32 * 32 * 3)
    const big = { data, shape: [2000, ...shape] }
    await stream.ready
    const pushed = Array.from({ length: 11 }, () => stream.push(big))
    const results = Promise.allSettled(pushed)
    expect(stream.pending).toBe(10)
    await expect(pushed[10]).rejects.toThrow(
      /^The stream expected at most 268435456 bytes of waiting frames; await "stream.ready" first$/,
    )
    await model.dispose()
    await results
  })

  test('that is awaited never holds more than three frames', async () => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream()
    const answers: Promise<FrameAnswer>[] = []
    for (const frame of frames) {
      await stream.ready
      answers.push(stream.push(frame))
      expect(stream.pending).toBeLessThanOrEqual(3)
    }
    expect((await Promise.all(answers)).map(logitsOf)).toEqual(plain)
  })

  test('drops a frame whose signal is aborted while it waits', async () => {
    await using model = await load({ device: 'wasm' })
    const stream = model.stream()
    const stop = new AbortController()
    const answers = [
      stream.push(frames[0]!),
      stream.push(frames[9]!, { signal: stop.signal }),
      stream.push(frames[1]!),
    ]
    stop.abort(new Error('no longer wanted'))
    await expect(answers[1]).rejects.toThrow('no longer wanted')
    expect([logitsOf(await answers[0]!), logitsOf(await answers[2]!)]).toEqual(plain.slice(0, 2))
    await expect(stream.push(frames[2]!, { signal: stop.signal })).rejects.toThrow(
      'no longer wanted',
    )
    expect(logitsOf(await stream.push(frames[2]!))).toEqual(plain[2])
  })
})

describe('reading ahead', () => {
  test('fetches one item while the caller works, and no more', async () => {
    const events: string[] = []
    async function* source(): AsyncGenerator<number> {
      for (let item = 0; item < 3; item++) {
        events.push(`fetch ${item}`)
        yield item
      }
      events.push('end')
    }
    for await (const item of ahead(source())) {
      await sleep(1)
      events.push(`work ${item}`)
    }
    expect(events).toEqual(['fetch 0', 'fetch 1', 'work 0', 'fetch 2', 'work 1', 'end', 'work 2'])
  })

  test('ends the source when the caller leaves, even while a fetch hangs', async () => {
    let closed = false
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => {
        let count = 0
        return {
          next: () =>
            count++ ? new Promise<never>(() => {}) : Promise.resolve({ done: false, value: 7 }),
          return: async () => {
            closed = true
            return { done: true, value: undefined }
          },
        }
      },
    }
    for await (const item of ahead(source)) {
      expect(item).toBe(7)
      break
    }
    expect(closed).toBe(true)
  })

  test('passes an error on after the items before it', async () => {
    const seen: number[] = []
    async function* source(): AsyncGenerator<number> {
      yield 1
      throw new Error('broken')
    }
    await expect(
      (async () => {
        for await (const item of ahead(source())) seen.push(item)
      })(),
    ).rejects.toThrow('broken')
    expect(seen).toEqual([1])
  })
})

describe.skipIf(!gpu)('on a GPU', { tags: 'gpu' }, () => {
  const close = (got: number[][]): void => {
    const largest = Math.max(...plain.flat().map(Math.abs))
    got.forEach((logits, frame) =>
      logits.forEach((value, c) =>
        expect(Math.abs(value - plain[frame]![c]!)).toBeLessThanOrEqual(1e-4 * largest),
      ),
    )
  }

  test('one loss has one replacement, however many streams hear of it, and whenever', async () => {
    const { gpu: entry, lose, opened, alive } = fragile()
    const model = await load({ device: 'webgpu', gpu: entry })
    const streams = Array.from({ length: 5 }, () => model.stream())
    await Promise.all(streams.map((stream) => stream.push(frames[0]!)))
    lose()
    // Some hear of it at once, others when they are asked again.
    const late = streams.splice(3)
    const answers = await Promise.all(
      streams.map(async (stream) => [await stream.push(frames[1]!), await stream.push(frames[2]!)]),
    )
    for (const stream of late)
      answers.push([await stream.push(frames[1]!), await stream.push(frames[2]!)])
    for (const pair of answers) close([plain[0]!, ...pair.map(logitsOf)])
    expect(opened()).toBe(2)
    expect(model.health).toEqual({ losses: 1, failure: null })
    await model.dispose()
    await Promise.all([...streams, ...late].map((stream) => stream.dispose()))
    expect(alive()).toEqual([])
  })

  test('a model that ends while a lost device is replaced opens nothing afterwards', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, lose, opened, alive } = fragile()
    for (const turns of [0, 3, 30, 300]) {
      const model = await load({ device: 'webgpu', gpu: entry })
      const stream = model.stream()
      const answers = Promise.allSettled(frames.slice(0, 6).map((frame) => stream.push(frame)))
      lose()
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      await model.dispose()
      for (const result of await answers)
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(TrecvitError)
      await stream.dispose()
      const count = opened()
      await sleep(50)
      expect(opened()).toBe(count)
      expect(alive()).toEqual([])
    }
  })
})
