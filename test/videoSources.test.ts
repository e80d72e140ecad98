/** Streams that cannot be read in order, connections that break, and URLs of other kinds. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ReadableStreamSource } from 'mediabunny'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { readWhole } from '../src/checkpoint/httpWhole.ts'
import { openSource } from '../src/checkpoint/openSource.ts'
import { openVideo, type VideoSource } from '../src/video/index.ts'
import { expected, hashesOf, media } from './clips.ts'
import { expectReleased, type Held, held } from './held.ts'
import { joined } from './joined.ts'

const clip = new Uint8Array(readFileSync(media('h264.mp4')))
const { sha256 } = expected['h264.mp4']!

let before: Held
beforeEach(() => {
  before = held()
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await expectReleased(before)
})

async function errorOf(source: VideoSource): Promise<string> {
  const error = await openVideo(source)
    .then(hashesOf)
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

/** Returns mediabunny's error, so that a test fails if another version changes the wording. */
async function evicted(): Promise<Error> {
  const bytes = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)),
  })
  const source = new ReadableStreamSource(bytes, { maxCacheSize: 0 }) as unknown as {
    _read(start: number, end: number): Promise<unknown>
  }
  await source._read(4 << 20, (4 << 20) + 1)
  return Promise.resolve()
    .then(() => source._read(0, 1))
    .then(
      () => new Error('none'),
      (error: Error) => error,
    )
}

describe('an MP4 with its index at the end, through a pipe', () => {
  const index = Buffer.from(clip).indexOf('moov') - 4

  /** Yields the clip with a box of 40 MB before its index. */
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield clip.subarray(0, index)
    const free = Buffer.alloc(1 << 20)
    free.writeUInt32BE(40 * free.length)
    free.write('free', 4)
    for (let i = 0; i < 40; i++) yield i === 0 ? free : Buffer.alloc(1 << 20)
    yield clip.subarray(index)
  }
  const pipe = (from = parts()) =>
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { value, done } = await from.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    })

  test('has the frames of the file, and leaves no temporary file', { tags: 'slow' }, async () => {
    expect(clip.subarray(4, 8)).toEqual(new TextEncoder().encode('ftyp'))
    expect(index).toBeGreaterThan(3000)
    const video = await openVideo(pipe())
    // The temporary file has no name while it is read.
    expect(held().temporary).toEqual(before.temporary)
    expect(held().files.length).toBeGreaterThan(before.files.length)
    expect(await hashesOf(video)).toMatchObject({ sha256 })
    for await (const _ of await openVideo(pipe())) break
    await (await openVideo(pipe())).close()
  })

  test('has them without a file system, too', { tags: 'slow' }, async () => {
    const module = process.getBuiltinModule
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
      name === 'node:os' ? undefined : module(name)) as typeof module)
    const video = await openVideo(pipe())
    vi.restoreAllMocks()
    expect(await hashesOf(video)).toMatchObject({ sha256 })
  })

  test('needs a writable temporary folder, and names it in the error', async () => {
    vi.stubEnv('TMPDIR', '/nowhere')
    expect(await errorOf(pipe())).toBe(
      'The stream cannot be read in order, because its index is at its end, ' +
        'and it cannot be stored in /nowhere (ENOENT): give a file',
    )
  })

  test('ends at an abort while it waits, and where the stream breaks', {
    tags: 'slow',
  }, async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('enough')), 200)
    const silent = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(clip.subarray(0, index)),
    })
    await expect(openVideo(silent, { signal: stop.signal })).rejects.toThrow('enough')
    const nothing = new ReadableStream<Uint8Array>()
    const again = new AbortController()
    setTimeout(() => again.abort(new Error('enough')), 50)
    await expect(openVideo(nothing, { signal: again.signal })).rejects.toThrow('enough')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield clip.subarray(0, index)
      throw new TrecvitError('The camera is gone')
    }
    expect(await errorOf(pipe(broken()))).toBe('The camera is gone')
  })

  test('small boxes before it take no longer than large ones', { tags: 'slow' }, async () => {
    const boxes = Buffer.alloc(1e6)
    for (let at = 0; at < boxes.length; at += 8) boxes.writeBigUInt64BE(0x00000008_66726565n, at)
    const start = performance.now()
    expect(await errorOf(new Blob([boxes]).stream())).toMatch(/^The stream /)
    // Took 60 s when each box copied all boxes before it.
    expect(performance.now() - start).toBeLessThan(10_000)
  })

  test('pictures larger than the buffer of a pipe need a file', async () => {
    const { message } = await evicted()
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(readFileSync(media('short.webm'))).subarray(0, 3000)
      throw new Error(message)
    }
    expect(await errorOf(pipe(broken()))).toBe(
      'The stream has to be read again from further back than a pipe allows: give a file',
    )
  })

  test('a stream with its index in front is read as it comes', { tags: 'slow' }, async () => {
    // Only data after the opening is missing: a live stream still yields its frames.
    const tour = new Uint8Array(readFileSync(media('tour.mp4')))
    const live = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(tour.subarray(0, 60_000)),
    })
    const video = await openVideo(live)
    let frames = 0
    for await (const _ of video) if (++frames === 50) break
    expect(frames).toBe(50)
  })
})

describe.skipIf(process.platform !== 'linux')('a named pipe', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-pipe-'))
  const path = join(folder, 'pipe')
  const raw = { format: { rawvideo: 'rgb24', width: 2, height: 2 } } as const
  // A separate pipe: the previous reader, which is ending, would read bytes of the next.
  const other = join(folder, 'other')
  beforeAll(() => void execFileSync('mkfifo', [path, other]))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is read once somebody writes to it', async () => {
    const opened = openVideo(path, raw)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await writeFile(path, new Uint8Array(36))
    let frames = 0
    for await (const _ of await opened) frames++
    expect(frames).toBe(3)
  })

  test('that nobody writes to, or where the writer stalls, ends at an abort', async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('enough')), 50)
    await expect(openVideo(path, { ...raw, signal: stop.signal })).rejects.toThrow('enough')

    const again = new AbortController()
    const opened = openVideo(other, { ...raw, signal: again.signal })
    const writer = await open(other, 'w')
    await writer.write(new Uint8Array(70))
    const read = hashesOf(await opened)
    setTimeout(() => again.abort(new Error('enough')), 50)
    await expect(read).rejects.toThrow('enough')
    await writer.close()
  })
})

describe('a WebM through a pipe', () => {
  const webm = new Uint8Array(readFileSync(media('short.webm')))
  const cluster = Buffer.from(webm).indexOf('1f43b675', 0, 'hex')

  // mediabunny searched for the next element forever and blocked the event loop.
  test.each([
    ['a cluster', cluster],
    ['the first element of a cluster', cluster + 4 + Math.clz32(webm[cluster + 4]!) - 23],
  ])('is refused where %s is damaged', async (_, at) => {
    const damaged = webm.slice().fill(0, at, at + 9)
    expect(await errorOf(new Blob([damaged]).stream())).toMatch(
      new RegExp(`damaged at byte ${at}: a part of a Matroska file should begin there$`),
    )
  })

  test('has the frames of the file', { tags: 'slow' }, async () => {
    const frames = await hashesOf(await openVideo(new Blob([webm]).stream()))
    expect(frames.sha256).toBe(expected['short.webm']!.sha256)
  })
})

describe('a server', () => {
  let server: Server
  let answer: RequestListener
  let requests = 0
  let origin = ''
  beforeAll(async () => {
    server = createServer((request, response) => {
      requests++
      answer(request, response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/clip.mp4?key=secret`
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    requests = 0
    for (const method of ['error', 'warn', 'info', 'log'] as const)
      vi.spyOn(console, method).mockImplementation((...words) => void logged.push(words))
  })
  const logged: unknown[] = []
  afterEach(() => expect(logged).toEqual([]))

  /** Answers Range requests. Ends the nth response early after this many bytes. */
  const ranges =
    (cutAfter: (n: number) => number, bytes = clip): RequestListener =>
    (request, response) => {
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range!)!
      const end = Math.min(bytes.length, to === '' ? Infinity : Number(to) + 1)
      const cut = cutAfter(requests - 1)
      response.writeHead(206, {
        'Content-Range': `bytes ${from}-${end - 1}/${bytes.length}`,
        'Content-Length': end - Number(from),
      })
      const body = bytes.subarray(Number(from), Math.min(end, Number(from) + cut))
      if (body.length === end - Number(from)) response.end(body)
      else response.write(body, () => setTimeout(() => response.destroy(), 10))
    }

  test('whose connections all break ends the reading after a few tries', {
    tags: 'slow',
    timeout: 20_000,
  }, async () => {
    answer = ranges(() => 500)
    expect(await errorOf(origin)).toMatch(
      /^The connection to URL "http:[^"?]*\/clip\.mp4" broke \(.*\): try again$/,
    )
    expect(requests).toBeGreaterThan(2)
    expect(requests).toBeLessThan(8)
  })

  test('whose connection breaks now and then only takes longer', async () => {
    answer = ranges((n) => (n % 3 === 0 ? 2000 : Infinity))
    expect(await hashesOf(await openVideo(origin))).toMatchObject({ sha256 })
    expect(requests).toBeLessThan(8)
  }, 20_000)

  test('that breaks after megabytes is retried while there is progress', {
    tags: 'slow',
    timeout: 20_000,
  }, async () => {
    // Eight breaks: more than the limit for consecutive breaks.
    const large = new Uint8Array(9 << 20).map((_, at) => Math.imul(at, 0x9e3779b1) >>> 24)
    answer = ranges((n) => (n > 8 ? Infinity : 1.1 * 2 ** 20), large)
    const source = await openSource(origin)
    const into = new Uint8Array(large.length)
    await source.read(0, into)
    await source.close()
    expect(Buffer.compare(into, large)).toBe(0)
  })

  test('an abort ends the pause before another try', { tags: 'slow' }, async () => {
    const stop = new AbortController()
    answer = (request, response) => {
      ranges(() => 500)(request, response)
      // Within the pause: a request under way would be counted in the next test.
      response.on('close', () => setTimeout(() => stop.abort(new Error('enough')), 100))
    }
    await expect(openVideo(origin, { signal: stop.signal })).rejects.toThrow('enough')
  })

  const CUTS = [0, 1, 7, 100, 1000, 3000, 5000, clip.length - 1]
  test.each(CUTS)('without ranges that breaks off after %i bytes', async (cut) => {
    answer = (_, response) => {
      response.writeHead(200, { 'Content-Length': clip.length })
      response.write(clip.subarray(0, cut), () => setTimeout(() => response.destroy(), 10))
    }
    expect(await errorOf(origin)).toMatch(
      /^The connection to URL "http:[^"?]*\/clip\.mp4" broke \(.*\): try again$/,
    )
    expect(requests).toBeLessThan(3)
  })
  test.each(CUTS)('without ranges or a length that ends after %i bytes', async (cut) => {
    answer = (_, response) => void response.end(clip.subarray(0, cut))
    expect(await errorOf(origin)).toMatch(
      /is empty|cut short|no video of a known kind|damaged|no index/,
    )
    expect(requests).toBeLessThan(3)
  })

  test('without ranges gives the frames, from large files too', { tags: 'slow' }, async () => {
    const index = Buffer.from(clip).indexOf('moov') - 4
    const free = Buffer.alloc(40 << 20)
    free.writeUInt32BE(free.length)
    free.write('free', 4)
    answer = (_, response) =>
      void response.end(Buffer.concat([clip.subarray(0, index), free, clip.subarray(index)]))
    expect(await hashesOf(await openVideo(origin))).toMatchObject({ sha256 })
    expect(requests).toBe(1)
  })

  test('that sends a checkpoint without ranges is read up to a limit', async () => {
    answer = (_, response) => void response.writeHead(200, { 'Content-Length': 5e9 }).flushHeaders()
    await expect(openSource(origin)).rejects.toThrow(
      joined(
        /^URL "http:[^"?]*" has more than 4294967296 bytes, /,
        /and its server no Range requests: download it, and give its path$/,
      ),
    )
    const endless = new Response(
      new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)) }),
    )
    await expect(readWhole(new URL(origin), endless, undefined, 10_000)).rejects.toThrow(
      /has more than 10000 bytes/,
    )
  })
})

test('addresses that name no file here', async () => {
  expect(await errorOf('file://base.mp4')).toMatch(
    joined(
      /^URL "file:\/\/base\.mp4\/" names no file \(.*\bhost\b.*\): /,
      /give the path itself, or file:\/\/\/PATH$/,
    ),
  )
  expect(await errorOf('file:///a%2Fb.mp4')).toMatch(
    /^URL "file:\/\/\/a%2Fb\.mp4" names no file \(.*\bencoded\b.*\)/,
  )
  expect(await errorOf(new URL('file://base.mp4'))).toMatch(/names no file \(.*\bhost\b/)
  expect(await errorOf('file:///nowhere/a.mp4')).toBe('There is no file at "/nowhere/a.mp4"')
  const rtsp =
    '"rtsp://camera/" is not read directly, only http:, https: and file: are: download it, ' +
    'or pipe it, ffmpeg -i rtsp://camera/ -f yuv4mpegpipe - | trecvit stream -'
  expect(await errorOf('rtsp://me:secret@camera/')).toBe(rtsp)
  expect(await errorOf(new URL('rtsp://camera/'))).toBe(rtsp)
  await expect(openSource('file://base.npz')).rejects.toThrow(/names no file \(.*\bhost\b/)
  await expect(openSource('file:///a%2Fb.npz')).rejects.toThrow(/names no file \(.*\bencoded\b/)
  await expect(openSource('s3://bucket/a.npz')).rejects.toThrow(
    'A checkpoint URL expected http:, https: or file:, got "s3:"',
  )
})
