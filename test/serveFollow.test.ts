/** A stream over any channel: concurrent work, and late failures. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { follow, type Shared } from '../src/cli/serve/follow.ts'
import { type TRecViT, TrecvitError } from '../src/index.ts'
import { sessionsOf } from '../src/model/sessions.ts'
import { encodeSnapshot } from '../src/stream/snapshot.ts'
import { noise } from './commandLine.ts'
import { FRAME, media, model, useModel } from './serving.ts'

useModel()

function sharing(model: TRecViT): Shared {
  return { model, maxFrame: 1e6 }
}

/**
 * Yields the opening message, then frames, and counts those that are read. Like a socket it ends
 * after `fail`.
 */
function frames(count: number) {
  let end = (_: unknown) => {}
  const failed = new Promise<never>((_, reject) => (end = reject))
  failed.catch(() => {})
  const source = { taken: 0, fail: (why: unknown) => end(why) }
  async function* messages() {
    yield '{"width":16,"height":16}'
    while (source.taken < count) yield noise(FRAME, source.taken++)
    await failed
  }
  return Object.assign(source, { messages: messages() })
}

test('two answers are under way at most, while they are not taken', async () => {
  const source = frames(20)
  const sent: string[] = []
  let take = () => {}
  const done = follow(sharing(model), {
    messages: source.messages,
    fail: source.fail,
    send: (message) =>
      new Promise((resolve) => {
        sent.push(String(message))
        take = resolve
      }),
  })
  done.catch(() => {})
  for (let answer = 1; answer <= 20; answer++) {
    while (sent.length < answer) await new Promise((resolve) => setTimeout(resolve, 1))
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(source.taken).toBeLessThanOrEqual(answer + 2)
    take()
  }
  source.fail(new Error('the end'))
  await expect(done).rejects.toThrow('the end')
  expect(sent.map((line) => JSON.parse(line).frame)).toEqual(
    Array.from({ length: 20 }, (_, i) => i),
  )
})

test('a frame that fails before its predecessor is taken ends the stream after that', async () => {
  let count = 0
  const push = () =>
    count++
      ? Promise.reject(new Error('lost'))
      : Promise.resolve({ frame: 0, top: [], probs: { data: [] } })
  const failing = {
    config: model.config,
    stream: () => ({ push, dispose: async () => {} }),
  } as unknown as TRecViT
  const source = frames(2)
  const sent: string[] = []
  await expect(
    follow(sharing(failing), {
      messages: source.messages,
      fail: source.fail,
      send: async (message) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        sent.push(String(message))
      },
    }),
  ).rejects.toThrow('lost')
  expect(sent.map((line) => JSON.parse(line).frame)).toEqual([0])
})

test('any messages get answers or one sentence', { tags: 'slow' }, async () => {
  const openings = fc.constantFrom(
    '{}',
    '{"width":16,"height":16}',
    '{"width":1,"height":300000}',
    '{"resume":true}',
    '{"average":{"halfLife":2}}',
  )
  const picture = fc
    .constantFrom(media('picture.png'), media('picture.jpg'))
    .chain((bytes) =>
      fc
        .tuple(fc.nat(bytes.length - 1), fc.nat(255))
        .map(([at, byte]) => Buffer.from(bytes).fill(byte, at, at + 1)),
    )
  // Random headers with the correct checksum.
  const snapshot = fc
    .record({
      model: fc.constantFrom(model.fingerprint, 'other'),
      b: fc.constantFrom(1, 2, 2 ** 31),
      frame: fc.maxSafeNat(),
      recent: fc.constantFrom('all' as const, { frames: 4096 }, { halfLife: 1e-300 }),
      states: fc.constantFrom(
        [],
        sessionsOf(model).open({ b: 1, recent: 'all', encoded: false }).states,
        [{ name: 'x', shape: [3] }],
      ),
    })
    .map((header) =>
      encodeSnapshot({
        header,
        values: header.states.map(({ shape }) =>
          new Float32Array(shape.reduce((product, side) => product * side, 1)).fill(NaN),
        ),
      }),
    )
  const message = fc.oneof(
    fc.constant('{"snapshot":true}'),
    fc.constant(noise(FRAME)),
    fc.string(),
    fc.json(),
    fc.uint8Array({ maxLength: 900 }),
    picture,
    snapshot,
  )
  await fc.assert(
    fc.asyncProperty(
      fc.oneof({ weight: 4, arbitrary: openings }, message),
      fc.array(message, { maxLength: 4 }),
      async (opening, messages) => {
        const sent: (string | Uint8Array)[] = []
        const done = follow(sharing(model), {
          messages: (async function* (): AsyncGenerator<string | Uint8Array> {
            yield opening
            yield* messages
          })(),
          send: async (answer) => void sent.push(answer),
          fail: () => {},
        })
        await done.catch((error: unknown) => expect(error).toBeInstanceOf(TrecvitError))
        for (const answer of sent)
          if (typeof answer === 'string')
            expect(JSON.parse(answer)).toMatchObject({ top: expect.any(Array) })
      },
    ),
    { numRuns: 300 },
  )
})
