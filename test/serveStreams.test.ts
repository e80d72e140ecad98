import { describe, expect, test } from 'vitest'
import { noise } from './commandLine.ts'
import { FRAME, media, model } from './serving.ts'
import { base, open, raw, start, tryOpen, until, useServer, works } from './sockets.ts'

useServer()

describe('a stream', () => {
  test('one line for each raw frame, in order, as the library says', { tags: 'slow' }, async () => {
    await start()
    const streams = await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        const socket = await open()
        // Frames of another size than the model's, with an average.
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
        expect(lines[index]).toEqual({
          frame,
          partial: index < 3,
          ...top[0],
          top,
          probs: [...probs.data],
        })
      }
      await stream.dispose()
    }
  })

  test('encoded pictures, one at a time; a snapshot resumes on another connection', async () => {
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
    ['half a size', ['{"width":3}'], /integers, at least 1, got 3 and none/],
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

  test('messages before a wrong one are answered first', async () => {
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
    // A refused origin or an incomplete handshake occupies no slot.
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
    // The slot of the earlier stream is free once the server has noticed its end.
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
      // Unknown fields are dropped.
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

  test('a client that neither sends nor reads is disconnected', { tags: 'slow' }, async () => {
    await start({ timeout: 500, maxStreams: 2 })
    const idle = await open()
    idle.send(size)
    const paused = await open()
    paused.send(size)
    paused.pause()
    // Requests snapshots without reading them, until the socket buffers are full.
    for (let i = 0; i < 50_000; i++) paused.send('{"snapshot":true}')
    expect(await idle.ended).toBe(1001)
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
