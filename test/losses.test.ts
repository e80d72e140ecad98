import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type FrameAnswer, TrecvitError } from '../src/index.ts'
import { crashes, fragileGpu, watchedWorkers } from './faults.ts'
import { gpu } from './gpu.ts'
import { joined } from './joined.ts'
import { frames, load, logitsOf, plain } from './smallStream.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe.each(crashes)('a worker thread fails (%s)', (crash) => {
  const passTime = (): void => {
    if (crash === 'silent') vi.advanceTimersByTime(70_000)
  }

  test('each frame is answered once, with the same bits', { tags: 'slow' }, async () => {
    if (crash === 'silent') vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
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
          workers.kill(crash, index % 2)
          await sleep(5)
          passTime()
        }
      }
      expect((await Promise.all(answers)).map(logitsOf)).toEqual(plain)
      expect((await Promise.all(others)).map(logitsOf)).toEqual(plain)
      expect(model.health).toEqual({ losses: 2, failure: null })
      // The first pool, and one for each of the two losses, with two threads each.
      expect(workers.started()).toBe(6)
      await vi.waitFor(() => expect(workers.alive()).toBe(2))
    } finally {
      workers.restore()
    }
  })
})

test(
  'if threads fail 4 times in a row, waiting frames are rejected, ' +
    'and the next frame starts threads again',
  async () => {
    const workers = watchedWorkers()
    try {
      await using model = await load({ device: 'wasm', threads: 1 })
      const stream = model.stream()
      await stream.push(frames[0]!)
      // Every worker ends when it receives work.
      workers.crashInRun(true)
      const rejected = stream.push(frames[1]!)
      const rest = Promise.allSettled(frames.slice(2, 6).map((frame) => stream.push(frame)))
      await expect(rejected).rejects.toThrow(
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
      workers.crashInRun(false)
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

describe.skipIf(!gpu)('on a GPU', { tags: ['gpu', 'slow'] }, () => {
  const expectClose = (got: number[][]): void => {
    const largest = Math.max(...plain.flat().map(Math.abs))
    got.forEach((logits, frame) =>
      logits.forEach((value, c) =>
        expect(Math.abs(value - plain[frame]![c]!)).toBeLessThanOrEqual(1e-4 * largest),
      ),
    )
  }

  test('one lost device is replaced once, for any number of streams', async () => {
    const { gpu: entry, loseDevice, opened, buffers } = fragileGpu()
    const model = await load({ device: 'webgpu', gpu: entry })
    const streams = Array.from({ length: 5 }, () => model.stream())
    await Promise.all(streams.map((stream) => stream.push(frames[0]!)))
    loseDevice()
    // Three streams push at once. The others find the loss only when they push their next frame.
    const late = streams.splice(3)
    const answers = await Promise.all(
      streams.map(async (stream) => [await stream.push(frames[1]!), await stream.push(frames[2]!)]),
    )
    for (const stream of late)
      answers.push([await stream.push(frames[1]!), await stream.push(frames[2]!)])
    for (const pair of answers) expectClose([plain[0]!, ...pair.map(logitsOf)])
    expect(opened()).toBe(2)
    expect(model.health).toEqual({ losses: 1, failure: null })
    await model.dispose()
    await Promise.all([...streams, ...late].map((stream) => stream.dispose()))
    expect(buffers()).toEqual([])
  })

  test('a model that is disposed of while a lost device is replaced opens no device afterwards', {
    tags: 'slow',
  }, async () => {
    const { gpu: entry, loseDevice, opened, buffers } = fragileGpu()
    for (const turns of [0, 3, 30, 300]) {
      const model = await load({ device: 'webgpu', gpu: entry })
      const stream = model.stream()
      const answers = Promise.allSettled(frames.slice(0, 6).map((frame) => stream.push(frame)))
      loseDevice()
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      await model.dispose()
      for (const result of await answers)
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(TrecvitError)
      await stream.dispose()
      const count = opened()
      await sleep(50)
      expect(opened()).toBe(count)
      expect(buffers()).toEqual([])
    }
  })
})
