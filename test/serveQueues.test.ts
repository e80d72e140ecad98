/** Queues of a stream of trecvit serve: frames, pings, and dropped frames of live streams. */
import { EventEmitter } from 'node:events'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import type { Bindings } from '../src/cli/serve/app.ts'
import { ReadAhead } from '../src/cli/serve/readAhead.ts'
import { Socket } from '../src/cli/serve/socket.ts'
import type { FrameAnswer } from '../src/index.ts'
import { noise } from './commandLine.ts'
import { FRAME, model, unexpected } from './serving.ts'
import { open, serve, start, until, useServer } from './sockets.ts'

useServer()

/** Starts a server that reads one message of a stream and then stops until `go` is called. */
async function startStalled(maxBody: number): Promise<{ read(): number; go(): void }> {
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
  await serve(app, { timeout: 10_000, maxBody })
  return { read: () => read, go: () => go() }
}

test('no client is read faster than it is answered', { tags: 'slow' }, async () => {
  const { read, go } = await startStalled(4e6)
  const socket = await open()
  const message = noise(3e6)
  for (let i = 0; i < 30; i++) socket.send(message)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  // Of 90 MB, the server has read a few messages, and the system has filled its socket buffers.
  expect(socket.bufferedAmount).toBeGreaterThan(60e6)
  go()
  expect(await until(() => read() === 30)).toBe(true)
  socket.close()
})

test('pings are answered at once while frames wait', { tags: 'slow' }, async () => {
  const { read, go } = await startStalled(1e6)
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

test('waiting requests are answered until the timeout when the server ends', async () => {
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

test('a live stream drops frames that wait, counts them, and keeps the newest', {
  tags: 'slow',
}, async () => {
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
