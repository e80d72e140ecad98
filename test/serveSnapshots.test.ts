import { expect, test } from 'vitest'
import { largestSnapshot } from '../src/cli/serve/follow.ts'
import { noise } from './commandLine.ts'
import { appOf, FRAME, model } from './serving.ts'
import { open, serve, start, useServer } from './sockets.ts'

useServer()

test('a live stream resumes from a snapshot, and does not drop it', async () => {
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

test('snapshots are available in smaller forms', async () => {
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

test('a snapshot from the server is accepted, even above the limit of bodies', async () => {
  const maxBody = 2000
  const app = appOf({ maxBody })
  const limits = { timeout: 10_000, maxBody: Math.max(maxBody, largestSnapshot(model)) }
  await serve(app, limits)
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
  // Only a snapshot may be as large.
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
