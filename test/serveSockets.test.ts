/** trecvit serve behind a real port: many at once, hostile ones, and streams. */
import { EventEmitter } from 'node:events'
import { connect } from 'node:net'
import { Hono } from 'hono'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Bindings, ServeOptions } from '../src/cli/serve/app.ts'
import { largestSnapshot } from '../src/cli/serve/follow.ts'
import { type Listening, listen } from '../src/cli/serve/listen.ts'
import { ReadAhead } from '../src/cli/serve/readAhead.ts'
import { Socket } from '../src/cli/serve/socket.ts'
import type { FrameAnswer } from '../src/index.ts'
import { noise } from './commandLine.ts'
import {
  appOf,
  expected,
  FRAME,
  infer,
  media,
  model,
  outputsOf,
  post,
  request,
  unexpected,
} from './serving.ts'

let server: Listening | undefined
let base: string

async function start(options: Partial<ServeOptions> = {}) {
  const limits = { maxBody: 1e6, maxStreams: 4, timeout: 10_000, ...options }
  const onError = (error: unknown) => void unexpected.push(error)
  server = await listen(appOf(limits), { ...limits, host: '127.0.0.1', port: 0, onError })
  base = `127.0.0.1:${server.address.port}`
  return server
}

afterEach(async () => {
  await server?.close()
  server = undefined
})

/** Sends bytes as they are; everything that came back until the server closed. */
function raw(...parts: (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(base.split(':')[1]), '127.0.0.1')
    let got = ''
    socket.on('data', (data) => (got += data.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(got))
    for (const part of parts) socket.write(part)
  })
}

async function works(): Promise<void> {
  const frames = noise(FRAME, 9)
  const answer = await fetch(`http://${base}${infer}`, post(request([...frames])))
  expect(outputsOf((await answer.json()) as Record<string, any>)).toEqual(await expected(frames))
}

test('200 requests at once, each with its own answer', { tags: 'slow' }, async () => {
  await start()
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const frames = noise((1 + (i % 4)) * FRAME, i + 1)
      const response = await fetch(
        `http://${base}${infer}`,
        post(request([...frames], [1, 1 + (i % 4), 16, 16, 3], { id: `${i}` })),
      )
      return {
        frames,
        id: `${i}`,
        status: response.status,
        answer: (await response.json()) as Record<string, any>,
      }
    }),
  )
  for (const { frames, id, status, answer } of answers) {
    expect([status, answer['id']]).toEqual([200, id])
    expect(outputsOf(answer)).toEqual(await expected(frames))
  }
})

test('garbage, endless heads, bodies that never come, and clients that go away', async () => {
  await start({ timeout: 500, maxStreams: 2 })
  const begin = performance.now()
  const head = `POST ${infer} HTTP/1.1\r\nHost: ${base}\r\n`
  const [garbage, large, slowHead, slowBody, drip, twice, other, target, traversal] =
    await Promise.all([
      raw(noise(3000)),
      raw(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(20_000)}\r\n\r\n`),
      raw('GET /v2 HTTP/1.1\r\nHost: x\r\nA: '),
      raw(`${head}Content-Length: 500\r\n\r\n{`),
      raw(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`),
      raw(`${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`),
      raw(`GET /v2 HTTP/1.1\r\nHost: ${base}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`),
      raw(
        `GET http://[ HTTP/1.1\r\nHost: ${base}\r\nConnection: Upgrade\r\nUpgrade: ` +
          'websocket\r\n\r\n',
      ),
      raw(`GET /../../package.json HTTP/1.1\r\nHost: ${base}\r\nConnection: close\r\n\r\n`),
      ...Array.from(
        { length: 20 },
        (_, i) =>
          new Promise<void>((resolve) => {
            const socket = connect(Number(base.split(':')[1]), '127.0.0.1', () =>
              socket.write(`${head}Content-Length: 800000\r\n\r\n${'1'.repeat(1000 * i)}`, () => {
                socket.resetAndDestroy()
                resolve()
              }),
            )
          }),
      ),
    ])
  // Half a second, and at most one more until Node looks at it.
  expect(performance.now() - begin).toBeLessThan(3000)
  expect(garbage).toMatch(/^HTTP\/1\.1 400 /)
  expect(large).toMatch(/^HTTP\/1\.1 431 /)
  expect(slowHead).toMatch(/^HTTP\/1\.1 408 /)
  for (const answer of [slowBody, drip])
    expect(answer).toMatch(
      /^HTTP\/1\.1 (408|503) [\s\S]*"error":"(The body expected to be there|No place became free)/,
    )
  expect(`${slowBody}${drip}`).toContain('408')
  expect(twice).toMatch(/^HTTP\/1\.1 400 /)
  expect(other).toMatch(
    /^HTTP\/1\.1 400 [\s\S]*"error":"\\"Upgrade\\" expected \\"websocket\\", got \\"h2c\\""/,
  )
  expect(target).toMatch(/^HTTP\/1\.1 400 /)
  expect(traversal).toMatch(/^HTTP\/1\.1 404 /)
  await works()
})

test('nothing is computed for clients that have gone', { tags: 'slow' }, async () => {
  await start({ maxStreams: 1, maxBody: 1e8, timeout: 60_000 })
  const abort = new AbortController()
  const long = fetch(`http://${base}${infer}`, {
    ...post(new Uint8Array(100_000 * FRAME), { 'Inference-Header-Content-Length': '0' }),
    signal: abort.signal,
  })
  await new Promise((resolve) => setTimeout(resolve, 500))
  abort.abort()
  await expect(long).rejects.toThrow(/abort/)
  const before = performance.now()
  await works()
  expect(performance.now() - before).toBeLessThan(1000)
})

test('closing answers what is under way, and takes nothing more', async () => {
  const closing = new AbortController()
  const { close } = await start({ closing: closing.signal, maxBody: 1e8 })
  const long = fetch(
    `http://${base}${infer}`,
    post(noise(4000 * FRAME), { 'Inference-Header-Content-Length': '0' }),
  )
  const idle = raw('GET /v2 HTTP/1.1\r\n')
  const socket = await open()
  socket.send('{"width":16,"height":16}')
  for (let i = 0; i < 2; i++) socket.send(noise(FRAME, i))
  await new Promise((resolve) => setTimeout(resolve, 100))
  closing.abort()
  const closed = close()
  server = undefined
  await expect(fetch(`http://${base}/v2`)).rejects.toThrow()
  expect((await long).status).toBe(200)
  expect(await socket.ended).toBe(1001)
  expect(socket.lines().map(({ frame }) => frame)).toEqual([0, 1])
  await closed
  expect(await idle).toBe('')
})

test('closing does not wait for who says nothing', async () => {
  const { close } = await start()
  const half = raw('GET /v2 HTTP/1.1\r\n')
  await works()
  const begin = performance.now()
  server = undefined
  await close()
  expect(performance.now() - begin).toBeLessThan(500)
  expect(await half).toBe('')
})

test('a port that is taken, or an address that is not here, is said', async () => {
  const { address } = await start()
  const options = { timeout: 1000, maxBody: 1e6, onError: () => {} }
  await expect(
    listen(appOf(), { ...options, host: '127.0.0.1', port: address.port }),
  ).rejects.toThrow(/another program listens there/)
  await expect(listen(appOf(), { ...options, host: '203.0.113.1', port: 0 })).rejects.toThrow(
    /address of this machine/,
  )
})

interface Client extends WebSocket {
  /** The code that it was closed with. */
  readonly ended: Promise<number>
  lines(): Record<string, any>[]
  /** Once so many messages have come. */
  got(count: number): Promise<(string | Buffer)[]>
}

/** A client that is connected, or the status that it was refused with. */
async function tryOpen(
  headers: Record<string, string> = {},
): Promise<Client | { status: number; body: string; retry: string | undefined }> {
  const socket = new WebSocket(`ws://${base}/v2/models/tiny/stream`, { headers })
  const messages: (string | Buffer)[] = []
  socket.on('message', (data: Buffer, isBinary: boolean) =>
    messages.push(isBinary ? data : data.toString()),
  )
  const ended = new Promise<number>((resolve) => socket.on('close', resolve))
  return new Promise((resolve) => {
    socket.on('unexpected-response', (_, response) => {
      let body = ''
      response.on('data', (part) => (body += part))
      response.on('end', () =>
        resolve({ status: response.statusCode!, body, retry: response.headers['retry-after'] }),
      )
    })
    socket.on('error', () => {})
    socket.on('open', () =>
      resolve(
        Object.assign(socket, {
          ended,
          lines: () =>
            messages
              .filter((message) => typeof message === 'string')
              .map((line) => JSON.parse(line)),
          got: async (count: number) => {
            while (messages.length < count && socket.readyState === socket.OPEN)
              await new Promise((resolve) => setTimeout(resolve, 2))
            return messages
          },
        }),
      ),
    )
  })
}

async function open(): Promise<Client> {
  const client = await tryOpen()
  if ('status' in client) throw new Error(client.body)
  return client
}

describe('a stream', () => {
  test('one line for each raw frame, in order, as the library says', async () => {
    await start()
    const streams = await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        const socket = await open()
        // Of another size than the model's, with an average.
        socket.send('{"width":40,"height":30,"average":{"frames":4},"topK":2}')
        const frames = Array.from({ length: 20 }, (_, frame) => noise(3600, 100 * i + frame + 1))
        for (const frame of frames) socket.send(frame)
        await socket.got(20)
        socket.close()
        expect(await socket.ended).toBe(1005)
        return { frames, lines: socket.lines() }
      }),
    )
    for (const { frames, lines } of streams) {
      const stream = model.stream({ average: { frames: 4 }, topK: 2 })
      for (const [index, data] of frames.entries()) {
        const { frame, top, probs } = await stream.push({
          format: 'rgb24',
          width: 40,
          height: 30,
          planes: [{ data, stride: 120 }],
          time: 0,
          matrix: 'rgb',
          fullRange: true,
          siting: 'center',
          rotation: 0,
        })
        expect(lines[index]).toEqual({ frame, ...top[0], top, probs: [...probs.data] })
      }
      await stream.dispose()
    }
  })

  test('pictures, one question at a time; a snapshot goes on elsewhere', async () => {
    await start()
    const pictures = [media('picture.png'), media('picture.jpg'), media('picture.png')]
    const one = await open()
    one.send('{}')
    for (const [index, picture] of [...pictures, ...pictures].entries()) {
      one.send(picture)
      await one.got(index + 1)
    }
    const two = await open()
    two.send('{}')
    for (const picture of pictures) two.send(picture)
    two.send('{"snapshot":true}')
    const [, , , snapshot] = await two.got(4)
    const three = await open()
    three.send('{"resume":true}')
    three.send(snapshot!)
    for (const picture of pictures) three.send(picture)
    await three.got(3)
    expect([...two.lines(), ...three.lines()]).toEqual(one.lines())
    expect(one.lines().at(-1)).toMatchObject({
      frame: 5,
      label: expect.any(String),
      prob: expect.any(Number),
    })
  })

  const size = '{"width":16,"height":16}'
  test.each<[string, (string | Uint8Array)[], RegExp]>([
    ['bytes first', [noise(FRAME)], /first message.*JSON text, got 768 bytes/],
    ['no JSON', ['{'], /first message expected JSON/],
    ['a list', ['[]'], /JSON object, got a list of 0/],
    ['an unknown word', ['{"size":3}'], /"width", "height".*got "size"/],
    ['half a size', ['{"width":3}'], /whole numbers, at least 1, got 3 and none/],
    ['a size of nothing', ['{"width":0,"height":5}'], /got 0 and 5/],
    ['a size of too much', ['{"width":4000,"height":4000}'], /4000x4000 pixels.* 333333 pixels/],
    ['a wrong average', ['{"average":{"frames":0}}'], /"average".*got an object/],
    ['a wrong topK', ['{"topK":9}'], /1 to 3, got 9/],
    [
      'both ways of averaging',
      ['{"resume":true,"average":"all"}'],
      /"average" cannot be given with "resume"/,
    ],
    ['part of a frame', [size, noise(FRAME - 1)], /16x16 expected 768 bytes, got 767/],
    ['no picture', ['{}', noise(FRAME)], /frame is neither PNG nor JPEG/],
    ['an empty picture', ['{}', new Uint8Array(0)], /empty/],
    ['a damaged picture', ['{}', media('picture.png').subarray(0, 500)], /frame is a damaged PNG/],
    [
      'a picture of too many pixels',
      [
        '{}',
        Buffer.concat([
          media('picture.png').subarray(0, 16),
          Uint8Array.of(0, 0, 64, 0, 0, 0, 64, 0),
          media('picture.png').subarray(24),
        ]),
      ],
      /16384x16384 pixels.* 250000 pixels/,
    ],
    ['text that is no question', [size, '{"snapshot":false}'], /expected \{"snapshot":true\}/],
    ['no snapshot', ['{"resume":true}', noise(100)], /snapshot expected to begin with "TRVS"/],
    [
      'text for a snapshot',
      ['{"resume":true}', 'hello'],
      /expected the bytes of a snapshot, got "hello"/,
    ],
  ])('%s ends it with a sentence', async (_, messages, error) => {
    await start()
    const socket = await open()
    for (const message of messages) socket.send(message)
    expect(await socket.ended).toBe(1008)
    expect(socket.lines()).toEqual([{ error: expect.stringMatching(error) }])
  })

  test('what was right before a wrong message is answered before', async () => {
    await start()
    const socket = await open()
    socket.send(size)
    for (let i = 0; i < 3; i++) socket.send(noise(FRAME, i))
    socket.send(noise(5))
    expect(await socket.ended).toBe(1008)
    expect(socket.lines()).toMatchObject(
      [{ frame: 0 }, { frame: 1 }, { frame: 2 }, { error: /./ }].map((line) =>
        'error' in line ? { error: expect.any(String) } : line,
      ),
    )
  })

  test('limits: their number, the size of a message, other pages', async () => {
    await start({ maxStreams: 2, maxBody: 10_000 })
    const first = await open()
    // Neither a stranger nor half a handshake takes a place.
    expect(await tryOpen({ origin: 'http://evil.example' })).toMatchObject({ status: 403 })
    expect(
      await raw(
        `GET /v2/models/tiny/stream HTTP/1.1\r\nHost: ${base}\r\nConnection: ` +
          'Upgrade\r\nUpgrade: websocket\r\n\r\n',
      ),
    ).toMatch(/^HTTP\/1\.1 400 /)
    const second = await open()
    expect(await tryOpen()).toMatchObject({
      status: 503,
      retry: '1',
      body: expect.stringContaining('All 2 streams are in use'),
    })
    first.send('{}')
    first.send(noise(10_001))
    expect(await first.ended).toBe(1009)
    second.terminate()
    await second.ended
    let other = await tryOpen({ host: base, origin: `http://${base}` })
    // The place of the one before is free when the server has heard of its end.
    while ('status' in other) other = await tryOpen({ host: base, origin: `http://${base}` })
    expect(other).toHaveProperty('ended')
  })

  test('100 averages of one client, all served, with the answers of the library', {
    tags: 'slow',
  }, async () => {
    await start()
    for (let i = 1; i <= 100; i++) {
      const average = i % 2 ? { frames: 40 * i } : { halfLife: i / 7 }
      let socket = await tryOpen()
      while ('status' in socket) socket = await tryOpen()
      // Fields beside are dropped.
      socket.send(
        JSON.stringify({ width: 16, height: 16, topK: 3, average: { ...average, more: [i] } }),
      )
      for (let frame = 0; frame < 3; frame++) socket.send(noise(FRAME, i + frame))
      await socket.got(3)
      await using stream = model.stream({ average, topK: 3 })
      for (const [frame, line] of socket.lines().entries()) {
        const { probs } = await stream.push({ data: noise(FRAME, i + frame), shape: [16, 16, 3] })
        expect(line).toMatchObject({ frame, probs: [...probs.data] })
      }
      socket.close()
    }
  })

  test('who neither sends nor takes is given up', { tags: 'slow' }, async () => {
    await start({ timeout: 500, maxStreams: 2 })
    const idle = await open()
    idle.send(size)
    const deaf = await open()
    deaf.send(size)
    deaf.pause()
    // Snapshots, until those that nobody takes fill what the system holds for a connection.
    for (let i = 0; i < 50_000; i++) deaf.send('{"snapshot":true}')
    expect(await idle.ended).toBe(1008)
    expect(idle.lines()).toEqual([
      { error: expect.stringMatching(/expected a message within 0\.5 s, got none/) },
    ])
    await works()
    const after = await Promise.all([
      until(async () => !('status' in (await tryOpen()))),
      until(async () => !('status' in (await tryOpen()))),
    ])
    expect(after).toEqual([true, true])
  })
})

/** A server that takes one message of a stream and stops there, until it is let go. */
async function startStuck(maxBody: number): Promise<{ read(): number; go(): void }> {
  let read = 0
  let go = () => {}
  const app = new Hono<{ Bindings: Bindings }>().get('*', (c) => {
    c.env.accept!({
      run: async ({ messages }) => {
        for await (const _ of messages)
          if (++read === 1) await new Promise<void>((resolve) => (go = resolve))
      },
      cancel() {},
    })
    return c.body(null)
  })
  server = await listen(app, {
    host: '127.0.0.1',
    port: 0,
    timeout: 10_000,
    maxBody,
    onError: (error) => unexpected.push(error),
  })
  base = `127.0.0.1:${server.address.port}`
  return { read: () => read, go: () => go() }
}

test('nobody is read faster than answered', { tags: 'slow' }, async () => {
  const { read, go } = await startStuck(4e6)
  const socket = await open()
  const message = noise(3e6)
  for (let i = 0; i < 30; i++) socket.send(message)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  // Of 90 MB the server has taken a few messages, and the system what it holds for a connection.
  expect(socket.bufferedAmount).toBeGreaterThan(60e6)
  go()
  expect(await until(() => read() === 30)).toBe(true)
  socket.close()
})

test('pings are answered at once while frames wait', async () => {
  const { read, go } = await startStuck(1e6)
  const socket = await open()
  for (let i = 0; i < 1000; i++) socket.send(noise(FRAME))
  const pong = new Promise<string>((resolve) =>
    socket.once('pong', (data) => resolve(data.toString())),
  )
  socket.ping('hello')
  expect(await pong).toBe('hello')
  expect(read()).toBe(1)
  go()
  expect(await until(() => read() === 1000)).toBe(true)
  socket.close()
})

test('while a pong waits to be written, only the newest ping is kept', () => {
  const sent: [data: string, done: () => void][] = []
  const fake = Object.assign(new EventEmitter(), {
    pong: (data: Buffer, _: boolean, done: () => void) => void sent.push([data.toString(), done]),
  })
  new Socket(fake as unknown as WebSocket, 1000, new ReadAhead(1000))
  for (let i = 0; i < 1000; i++) fake.emit('ping', Buffer.from(`${i}`))
  expect(sent.map(([data]) => data)).toEqual(['0'])
  sent[0]![1]()
  expect(sent.map(([data]) => data)).toEqual(['0', '999'])
  sent[1]![1]()
  fake.emit('ping', Buffer.from('again'))
  expect(sent.map(([data]) => data)).toEqual(['0', '999', 'again'])
})

test('what waits when the server ends is answered until the time is over', async () => {
  const fake = Object.assign(new EventEmitter(), {
    readyState: 1,
    OPEN: 1,
    CLOSED: 3,
    resume() {},
    pause() {},
    close: (code: number) => void fake.emit('close', code),
    send: (_: unknown, done: () => void) => done(),
  })
  const codes: number[] = []
  fake.on('close', (code) => codes.push(code))
  const socket = new Socket(fake as unknown as WebSocket, 200, new ReadAhead(1e6))
  let answered = 0
  const done = socket.run(
    async ({ messages }) => {
      for await (const _ of messages) {
        await new Promise((resolve) => setTimeout(resolve, 10))
        answered++
      }
    },
    (error) => unexpected.push(error),
  )
  for (let i = 0; i < 500; i++) fake.emit('message', Buffer.from('frame'), true)
  await socket.end()
  await done
  expect(codes).toEqual([1001])
  // 500 of them take 5 s.
  expect(answered).toBeGreaterThan(0)
  expect(answered).toBeLessThan(100)
  fake.emit('message', Buffer.from('late'), true)
})

test('a live stream drops frames that wait, counts them, and keeps the newest', async () => {
  await start()
  const socket = await open()
  socket.send('{"width":16,"height":16,"live":true}')
  const count = 2000
  for (let i = 1; i < count; i++) socket.send(noise(FRAME, 1))
  socket.send(noise(FRAME, 2))
  await until(() => {
    const { frame, dropped } = socket.lines().at(-1) ?? {}
    return frame + 1 + dropped === count
  })
  const lines = socket.lines()
  const { frame, dropped, probs } = lines.at(-1)!
  expect([frame + 1 + dropped, lines.length]).toEqual([count, frame + 1])
  expect(dropped).toBeGreaterThan(0)
  const stream = model.stream()
  let last: FrameAnswer | undefined
  for (let i = 0; i <= frame; i++)
    last = await stream.push({ data: noise(FRAME, i < frame ? 1 : 2), shape: [16, 16, 3] })
  await stream.dispose()
  expect(probs).toEqual([...last!.probs.data])
  socket.close()
})

test('a live stream goes on from a snapshot, which is not dropped', async () => {
  await start()
  const one = await open()
  one.send('{"width":16,"height":16}')
  one.send(noise(FRAME))
  one.send('{"snapshot":true}')
  const [, snapshot] = await one.got(2)
  const two = await open()
  two.send('{"width":16,"height":16,"resume":true,"live":true}')
  two.send(snapshot!)
  two.send(noise(FRAME, 2))
  await two.got(1)
  expect(two.lines()).toEqual([expect.objectContaining({ frame: 1, dropped: 0 })])
  const three = await open()
  three.send('{"live":1}')
  expect(await three.ended).toBe(1008)
  expect(three.lines()).toEqual([
    { error: expect.stringMatching(/"live" expected true or false, got 1/) },
  ])
})

test('a snapshot may be had smaller', async () => {
  await start()
  const socket = await open()
  socket.send('{"width":16,"height":16}')
  socket.send(noise(FRAME))
  for (const options of ['', ',"dtype":"f16"']) socket.send(`{"snapshot":true${options}}`)
  const [, plain, half] = await socket.got(3)
  expect(half!.length).toBeLessThan(plain!.length)
  const other = await open()
  other.send('{"width":16,"height":16,"resume":true}')
  other.send(half!)
  other.send(noise(FRAME))
  await other.got(1)
  expect(other.lines()).toEqual([expect.objectContaining({ frame: 1 })])
  for (const [message, error] of [
    ['{"snapshot":true,"dtype":"int8"}', /"dtype" of a snapshot/],
    ['{"snapshot":true,"x":1}', /expected \{"snapshot":true\}/],
  ] as const) {
    const wrong = await open()
    wrong.send('{}')
    wrong.send(message)
    expect(await wrong.ended).toBe(1008)
    expect(wrong.lines()).toEqual([{ error: expect.stringMatching(error) }])
  }
})

test('a snapshot that was handed out is taken back, whatever bodies may have', async () => {
  const maxBody = 2000
  const app = appOf({ maxBody })
  const onError = (error: unknown) => void unexpected.push(error)
  const limits = { timeout: 10_000, maxBody: Math.max(maxBody, largestSnapshot(model)), onError }
  server = await listen(app, { ...limits, host: '127.0.0.1', port: 0 })
  base = `127.0.0.1:${server.address.port}`
  const opening = { width: 16, height: 16, average: { frames: 4096 } }
  const one = await open()
  one.send(JSON.stringify(opening))
  for (let i = 0; i < 3; i++) one.send(noise(FRAME, i))
  one.send('{"snapshot":true}')
  const snapshot = (await one.got(4))[3]!
  expect(snapshot.length).toBeGreaterThan(10 * maxBody)
  expect(snapshot.length).toBeLessThanOrEqual(limits.maxBody)
  const two = await open()
  two.send('{"width":16,"height":16,"resume":true}')
  two.send(snapshot)
  for (const socket of [one, two]) socket.send(noise(FRAME, 9))
  await Promise.all([one.got(5), two.got(1)])
  expect(two.lines()[0]).toEqual(one.lines()[3])
  // Only a snapshot may be that large.
  const three = await open()
  three.send('{}')
  three.send(snapshot)
  expect(await three.ended).toBe(1009)
  expect(three.lines()).toEqual([
    { error: expect.stringMatching(/A frame expected at most 2000 bytes, got \d+/) },
  ])
  const four = await open()
  four.send(`{"topK":${'1'.repeat(5000)}}`)
  expect(await four.ended).toBe(1009)
})

/** Whether something becomes true within some seconds. */
async function until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    if (await holds()) return true
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return false
}
