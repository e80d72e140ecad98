import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { listen } from '../src/cli/serve/listen.ts'
import { noise } from './commandLine.ts'
import { appOf, expected, FRAME, infer, outputsOf, post, request } from './serving.ts'
import { base, open, raw, start, useServer, works } from './sockets.ts'

useServer()

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

test('garbage, endless heads, bodies that never come, and clients that go away', {
  tags: 'slow',
}, async () => {
  await start({ timeout: 500, maxStreams: 2 })
  const begin = performance.now()
  const head = `POST ${infer} HTTP/1.1\r\nHost: ${base}\r\n`
  const [garbage, large, slowHead, slowBody, slowBytes, twice, other, target, traversal] =
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
  // Half a second, plus up to one second until Node checks.
  expect(performance.now() - begin).toBeLessThan(3000)
  expect(garbage).toMatch(/^HTTP\/1\.1 400 /)
  expect(large).toMatch(/^HTTP\/1\.1 431 /)
  expect(slowHead).toMatch(/^HTTP\/1\.1 408 /)
  for (const answer of [slowBody, slowBytes])
    expect(answer).toMatch(
      /^HTTP\/1\.1 (408|503) [\s\S]*"error":"(The body was not received|No place became free)/,
    )
  expect(`${slowBody}${slowBytes}`).toContain('408')
  expect(twice).toMatch(/^HTTP\/1\.1 400 /)
  expect(other).toMatch(
    /^HTTP\/1\.1 400 [\s\S]*"error":"\\"Upgrade\\" expected \\"websocket\\", got \\"h2c\\""/,
  )
  expect(target).toMatch(/^HTTP\/1\.1 400 /)
  expect(traversal).toMatch(/^HTTP\/1\.1 404 /)
  await works()
})

test('nothing is computed for clients that have disconnected', { tags: 'slow' }, async () => {
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

test('closing finishes running requests, and refuses new ones', { tags: 'slow' }, async () => {
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
  await expect(fetch(`http://${base}/v2`)).rejects.toThrow()
  expect((await long).status).toBe(200)
  expect(await socket.ended).toBe(1001)
  expect(socket.lines().map(({ frame }) => frame)).toEqual([0, 1])
  await closed
  expect(await idle).toBe('')
})

test('closing does not wait for idle connections', async () => {
  const { close } = await start()
  const half = raw('GET /v2 HTTP/1.1\r\n')
  await works()
  const begin = performance.now()
  await close()
  expect(performance.now() - begin).toBeLessThan(500)
  expect(await half).toBe('')
})

test('a port in use, or an address of another machine, is an error', async () => {
  const { address } = await start()
  const options = { timeout: 1000, maxBody: 1e6, onError: () => {} }
  await expect(
    listen(appOf(), { ...options, host: '127.0.0.1', port: address.port }),
  ).rejects.toThrow(/another program already listens there/)
  await expect(listen(appOf(), { ...options, host: '203.0.113.1', port: 0 })).rejects.toThrow(
    /address of this machine/,
  )
})
