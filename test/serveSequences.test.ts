/** Streams with ids: requests that continue one, who owns it, and when it is saved. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MemoryStore } from '../src/cli/serve/sequences/memoryStore.ts'
import { Pace } from '../src/cli/serve/sequences/pace.ts'
import { type Owned, TakenOverError } from '../src/cli/serve/sequences/store.ts'
import { noise } from './commandLine.ts'
import {
  appOf,
  expected,
  FRAME,
  infer,
  outputsOf,
  post,
  request,
  requestJson,
  sequencesOf,
} from './serving.ts'
import { open, start, useServer } from './sockets.ts'

useServer()

/** Returns the body of a request with frames from `from` to `to` of a video. */
function part(from: number, to: number, parameters: object): object {
  const frames = noise(6 * FRAME).subarray(from * FRAME, to * FRAME)
  return request([...frames], [1, to - from, 16, 16, 3], { parameters })
}

describe('requests', () => {
  test('continue a stream until its end', async () => {
    const app = appOf({ sequences: sequencesOf({ store: new MemoryStore(4) }) })
    const send = (body: object) => requestJson(app, infer, post(body))
    await send(part(0, 2, { sequence_id: 'a', sequence_start: true }))
    const other = await send(part(0, 1, { sequence_id: 7, sequence_start: true }))
    expect(other['parameters']).toEqual({ sequence_id: '7', sequence_frame: 1 })
    const last = await send(part(2, 6, { sequence_id: 'a', sequence_end: true }))
    expect(last['parameters']).toEqual({ sequence_id: 'a', sequence_frame: 6 })
    expect(outputsOf(last)).toEqual(await expected(noise(6 * FRAME)))
    expect(await send(part(0, 1, { sequence_id: 'a' }))).toEqual({
      status: 400,
      error:
        'Stream "a" is unknown; start it with "sequence_start": true, ' +
        'or start the servers with the same "--state"',
    })
    // A start replaces what was there.
    const again = await send(part(0, 1, { sequence_id: 7, sequence_start: true }))
    expect(again['parameters'].sequence_frame).toBe(1)
  })

  test('with ids that do not fit are refused', async () => {
    const app = appOf()
    for (const [parameters, error] of [
      [{ sequence_id: 'x'.repeat(129) }, /"sequence_id" expected a text of up to 128 characters/],
      [{ sequence_id: -1 }, /"sequence_id" expected .* an integer, got -1/],
      [{ sequence_id: 'a', sequence_start: 1 }, /"sequence_start" expected true or false, got 1/],
      [{ sequence_id: 'a', sequence_end: 1 }, /"sequence_end" expected true or false, got 1/],
      [{ sequence_id: 'a', sequence_key: 1 }, /"sequence_key" expected a text .* got 1/],
      [{ sequence_start: true }, /"sequence_start" expected a "sequence_id" beside it, got none/],
      [{ sequenceId: 'a' }, /"parameters" expected "sequence_id", got "sequenceId"/],
    ] as const)
      expect(await requestJson(app, infer, post(part(0, 1, parameters)))).toEqual({
        status: 400,
        error: expect.stringMatching(error),
      })
    const two = request([...noise(2 * FRAME)], [2, 1, 16, 16, 3], {
      parameters: { sequence_id: 'a', sequence_start: true },
    })
    expect(await requestJson(app, infer, post(two))).toEqual({
      status: 400,
      error: 'A request with "sequence_id" expected one video, got 2',
    })
  })

  test('and a WebSocket share a stream, if it has the average of requests', async () => {
    const app = { sequences: sequencesOf() }
    await start(app)
    const app2 = appOf(app)
    for (const average of ['all', { frames: 4 }]) {
      const socket = await open()
      const opening = { sequence_id: 's', sequence_start: true, width: 16, height: 16, average }
      socket.send(JSON.stringify(opening))
      socket.send(noise(6 * FRAME).subarray(0, FRAME))
      socket.send('{"save":true}')
      await socket.got(3)
      socket.send('{"answered":1}')
      await socket.got(4)
      socket.close()
      await socket.ended
      expect(socket.lines().map(({ probs: _, top: __, ...line }) => line)).toEqual([
        { next: 0, saved: 0 },
        expect.objectContaining({ frame: 0 }),
        { saving: 1 },
        { saved: 1 },
      ])
      const got = await requestJson(app2, infer, post(part(1, 6, { sequence_id: 's' })))
      if (average === 'all') expect(outputsOf(got)).toEqual(await expected(noise(6 * FRAME)))
      else expect(got).toEqual({ status: 400, error: expect.stringMatching(/another average/) })
    }
  })
})

test('the first message of a stream with an id is checked', async () => {
  await start()
  for (const [rest, error] of [
    [{ live: true }, /"live" cannot be given with "sequence_id": its frames have numbers/],
    [{ resume: true }, /"resume" cannot be given with "sequence_id": the server has the state/],
    [{ average: 'all' }, /"average" cannot be given without "sequence_start"/],
    [{}, /Stream "a" is unknown; start it with "sequence_start": true/],
  ] as const) {
    const socket = await open()
    socket.send(JSON.stringify({ sequence_id: 'a', ...rest }))
    expect(await socket.ended).toBe(1008)
    expect(socket.lines()).toEqual([{ error: expect.stringMatching(error) }])
  }
})

describe('owners of a state in memory', () => {
  const claim = { model: 'm', fingerprint: 'f', id: 'a', key: 'secret', start: true }
  const opened = async (store: MemoryStore, rest: object = {}): Promise<Owned> => {
    const answer = await store.open({ ...claim, ...rest })
    expect(answer).toHaveProperty('save')
    return answer as Owned
  }

  test('are replaced by the same client at once, and then refused', async () => {
    const store = new MemoryStore(4)
    const one = await opened(store)
    await one.save(3, Uint8Array.of(1))
    expect(await store.open({ ...claim, key: 'other' })).toEqual({ heldFor: 1000 })
    const two = await opened(store)
    expect([two.frame, two.state]).toEqual([3, Uint8Array.of(1)])
    for (const late of [() => one.save(9, Uint8Array.of(9)), one.release, one.end])
      await expect(late()).rejects.toThrow(TakenOverError)
    await two.release()
    expect(await store.open({ ...claim, fingerprint: 'g', start: false })).toEqual({
      fingerprint: 'f',
    })
    const three = await opened(store, { key: '', start: false })
    expect(three.frame).toBe(3)
    await three.end()
    expect(await store.open({ ...claim, start: false })).toBe('unknown')
  })

  test('leave at most so many states without an owner', async () => {
    const store = new MemoryStore(2)
    for (const id of ['a', 'b', 'c']) {
      const owned = await opened(store, { id })
      await owned.save(1, Uint8Array.of(1))
      await owned.release()
    }
    const goesOn = { ...claim, start: false }
    expect(await store.open({ ...goesOn, id: 'a' })).toBe('unknown')
    expect(await store.open({ ...goesOn, id: 'b' })).toHaveProperty('save')
  })
})

describe('the pace of saves', () => {
  afterEach(() => vi.useRealTimers())

  /** Lets a number of streams compute frames at the same time. */
  function frames(pace: Pace, milliseconds: number, count: number, streams = 1): void {
    for (let i = 0; i < count; i++) {
      const ends = Array.from({ length: streams }, () => pace.begin())
      for (const end of ends) {
        vi.advanceTimersByTime(milliseconds)
        end()
      }
    }
  }

  test('follows from the time of a frame and the cost of a save', () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] })
    const pace = new Pace()
    frames(pace, 10, 50)
    // Without a cost, only the bounds apply.
    const room = { frames: 4096, bytes: 1e6 }
    const due = (frames: number) => pace.isDue(frames, 0, room)
    expect([due(2047), due(2048), pace.isDue(1, 5e5, room)]).toEqual([null, 'bound', 'bound'])
    pace.saved(6)
    pace.saved(60)
    // 6 ms are 3 % of 200 ms.
    expect([due(19), due(20)]).toEqual([null, 'cost'])
    // More streams at a time change nothing: a frame still takes 10 ms of the server.
    frames(pace, 10, 100, 5)
    expect([due(19), due(20)]).toEqual([null, 'cost'])
    // The server gets slower.
    frames(pace, 20, 2000)
    expect([due(9), due(11)]).toEqual([null, 'cost'])
    // Old costs are forgotten. There are at least 8 frames between two saves.
    for (let i = 0; i < 16; i++) pace.saved(1)
    expect([due(7), due(8)]).toEqual([null, 'cost'])
  })

  test.each([
    // Milliseconds of a frame and of a save: docs/live-capacity.md and docs/live-streams.md.
    ['the built-in model on a core', 1.4, 1.55, 13_000],
    ['size Ti on a core', 100, 40, 14_000],
    ['size B on a core', 700, 286, 14_000],
    ['size B on a GPU', 36.2 / 16, 157, 14_000],
  ])('%s: saves cost 3 hundredths at most, if the client keeps 64 MiB', (_, frame, save, bytes) => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] })
    const pace = new Pace()
    frames(pace, frame, 64)
    pace.saved(save)
    const room = { frames: 8192, bytes: 2 ** 26 }
    let count = 1
    while (!pace.isDue(count, count * bytes, room)) count++
    expect(pace.isDue(count, count * bytes, room)).toBe('cost')
    expect(save / (count * frame)).toBeLessThanOrEqual(0.03)
    // A client with less room gets its save in time.
    const small = { frames: 20, bytes: 2 ** 26 }
    expect(pace.isDue(10, 10 * bytes, small)).not.toBeNull()
  })
})
