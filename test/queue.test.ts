import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { FrameAnswer } from '../src/index.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { ahead } from '../src/stream/ahead.ts'
import { frames, load, logitsOf, plain, shape } from './smallStream.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('programs', () => {
  test('are cached up to a number, and others are recorded again', { tags: 'slow' }, async () => {
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
  test('resolves "ready" while it is short, and rejects frames beyond its limit', {
    tags: 'slow',
  }, async () => {
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

  test('that is awaited never holds more than three frames', { tags: 'slow' }, async () => {
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

  test('drops a frame whose signal is aborted while it waits', { tags: 'slow' }, async () => {
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
