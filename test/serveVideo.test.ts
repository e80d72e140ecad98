/** Videos by POST: same results as the library, and malicious bodies. */
import { Buffer } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import { openVideo, toPixels } from '../src/video/index.ts'
import { decoderUrl, hasWasm } from './clips.ts'
import { noise } from './commandLine.ts'
import { appOf, expected, media, model, post, unexpected, useModel, videos } from './serving.ts'

useModel()

const classify = '/v2/models/tiny/classify'
const video = { 'Content-Type': 'video/mp4' }

/** Returns a y4m video of this size, which needs no decoder. Large videos are black. */
function y4m(frames: number, width = 32, height = 24): Buffer {
  const size = (width * height * 3) / 2
  const data = frames > 20 || size > 1e4 ? Buffer.alloc(frames * size) : noise(frames * size)
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F25:1 C420jpeg\n`)]
  for (let i = 0; i < frames; i++)
    parts.push(Buffer.from('FRAME\n'), Buffer.from(data.subarray(i * size, (i + 1) * size)))
  return Buffer.concat(parts)
}

/** Returns the input pixels of the model for a video. */
async function pixelsOf(bytes: Uint8Array): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const frame of await openVideo(bytes, { decoder: 'wasm', decoderUrl }))
    all.push(toPixels(frame, { height: 16, width: 16 }))
  return Buffer.concat(all)
}

/** Returns a request whose body is sent in parts. */
function body(parts: AsyncGenerator<Uint8Array>): RequestInit {
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await parts.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
  return { method: 'POST', body: stream, headers: video, duplex: 'half' } as RequestInit
}

async function requestJson(
  request: RequestInit,
  query = '',
  app = appOf(),
): Promise<Record<string, any>> {
  const response = await app.request(classify + query, request)
  const answer = (await response.json()) as Record<string, any>
  return { ...answer, status: response.status }
}

describe('a video', () => {
  test('gets the answer of the library, whole or in parts', { tags: 'slow' }, async () => {
    const bytes = y4m(20)
    const want = await expected(await pixelsOf(bytes))
    const whole = await requestJson(post(bytes, video))
    expect(whole).toMatchObject({
      status: 200,
      model_name: 'tiny',
      video: { container: 'y4m', width: 32, height: 24, fps: 25 },
      frames: 20,
      logits: want.logits,
      probs: want.probs,
    })
    expect(whole['top'].map(({ label }: { label: string }) => label)).toEqual(want.labels)
    const { segments } = whole
    expect([segments[0].start, segments.at(-1).end]).toEqual([0, 0.8])
    const parts = (async function* () {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
    })()
    expect(await requestJson(body(parts))).toEqual(whole)
  })

  test('takes topK, fps and stride', { tags: 'slow' }, async () => {
    const bytes = y4m(20)
    expect(await requestJson(post(bytes, video), '?topK=1&stride=4')).toMatchObject({
      frames: 5,
      top: [{ label: expect.any(String) }],
    })
    expect(await requestJson(post(bytes, video), '?fps=12.5')).toMatchObject({ frames: 10 })
    for (const [query, error] of [
      ['?topK=4', '"topK" expected an integer from 1 to 3, got "4"'],
      ['?stride=0', /^"stride" expected an integer from 1 to \d+, got "0"$/],
      ['?fps=1e9', '"fps" expected a number above 0, at most 1000, got "1e9"'],
      ['?frames=3', 'The query expected "topK", "fps" and "stride", got "frames"'],
    ] as const)
      expect(await requestJson(post(bytes, video), query)).toEqual({
        status: 400,
        error: typeof error === 'string' ? error : expect.stringMatching(error),
      })
  })

  test.skipIf(!hasWasm())('may be H.264 with its index at the end', { tags: 'slow' }, async () => {
    for (const name of ['h264.mp4', 'vp8.webm', 'picture.jpg']) {
      const bytes = media(name)
      const want = await expected(await pixelsOf(bytes))
      expect(await requestJson(post(bytes, video))).toMatchObject({
        status: 200,
        logits: want.logits,
      })
    }
    for (const name of ['noindex.mp4', 'audio.mp4', 'still.avif']) {
      expect(await requestJson(post(media(name), video))).toEqual({
        status: 400,
        error: expect.stringMatching(/./),
      })
    }
  })
})

describe('refused requests', () => {
  test('a wrong type is refused before the body is read', async () => {
    expect(await requestJson(post('{}', { 'Content-Type': 'application/json' }))).toEqual({
      status: 415,
      error: '"Content-Type" expected "video/mp4" or another of "video/*", got "application/json"',
    })
    const infer = await appOf().request('/v2/models/tiny/infer', post(y4m(1), video))
    expect([infer.status, await infer.json()]).toEqual([
      415,
      { error: '"Content-Type" expected tensors, got "video/mp4"; send it to "classify"' },
    ])
  })

  test.each([
    ['noise', noise(5000), /recognised|kind|format|video/],
    ['nothing', Buffer.alloc(0), /empty/],
    ['a text', Buffer.from('this is no video but a text'), /./],
    ['a video that breaks off', y4m(3).subarray(0, 3000), /./],
  ])('%s gets a sentence', async (_, bytes, message) => {
    expect(await requestJson(post(bytes, video))).toEqual({
      status: 400,
      error: expect.stringMatching(message),
    })
  })

  test('too large a body is refused, declared or not; the rest of it is not read', {
    tags: 'slow',
  }, async () => {
    const app = appOf({ maxBody: 50_000 })
    const error = expect.stringMatching(/^The body expected at most 50000 bytes, got \d+/)
    expect(
      await requestJson(post(y4m(100), { ...video, 'Content-Length': '120000' }), '', app),
    ).toEqual({
      status: 413,
      error,
    })
    let read = 0
    const parts = (async function* () {
      const bytes = y4m(200)
      for (let at = 0; at < bytes.length; at += 1000) {
        read++
        yield bytes.subarray(at, at + 1000)
      }
    })()
    expect(await requestJson(body(parts), '', app)).toEqual({ status: 413, error })
    expect(read).toBeLessThan(100)
  })

  test('a body that never ends gets 504, and keeps nobody waiting', { tags: 'slow' }, async () => {
    const never = (async function* () {
      yield y4m(2)
      await new Promise(() => {})
    })()
    const slow = requestJson(body(never), '', appOf({ timeout: 2000 }))
    expect((await requestJson(post(y4m(2), video))).status).toBe(200)
    expect(await slow).toEqual({ status: 504, error: expect.stringMatching(/within 2 s/) })
    expect((await requestJson(post(y4m(2), video))).status).toBe(200)
  })

  test('frames of too many pixels are refused', { tags: 'slow' }, async () => {
    expect(await requestJson(post(y4m(1, 6000, 4000), video), '', appOf({ maxBody: 1e8 }))).toEqual(
      {
        status: 400,
        error:
          'A video expected frames of at most 9437184 pixels, got 6000x4000; send a smaller one',
      },
    )
  })
})

test('a client that disconnects ends its decoding, and frees the slot', {
  tags: 'slow',
}, async () => {
  const app = appOf({ maxStreams: 1 })
  const gone = new AbortController()
  let sent = 0
  const endless = (async function* () {
    const bytes = y4m(2)
    yield bytes
    const frame = bytes.subarray(bytes.indexOf('FRAME'), bytes.lastIndexOf('FRAME'))
    for (;;) {
      sent++
      yield frame
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  const request = new Request(`http://localhost${classify}`, {
    ...body(endless),
    signal: gone.signal,
  })
  const lost = Promise.resolve(app.fetch(request)).catch(() => null)
  while (sent < 50) await new Promise((resolve) => setTimeout(resolve, 10))
  gone.abort()
  await lost
  const then = sent
  expect((await requestJson(post(y4m(2), video), '', app)).status).toBe(200)
  expect(sent - then).toBeLessThan(20)
})

test('the thread of a decoder that hangs is ended', { tags: 'slow' }, async () => {
  const never = (async function* () {
    await new Promise(() => {})
  })() as AsyncGenerator<Uint8Array>
  const signal = AbortSignal.timeout(300)
  const parts = videos.decode(never, { imageSize: [16, 16], sampling: {} }, signal)
  await expect(parts.next()).rejects.toThrow()
  expect(unexpected).toEqual([])
  expect(model.config.numClasses).toBe(3)
})
