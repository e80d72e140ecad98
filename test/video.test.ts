import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { decoderUrl, expected, hasFfmpeg, hashesOf, hasNative, hasWasm, media } from './clips.ts'
import { joined } from './joined.ts'

/** node-webcodecs gives no planes of these. */
const RARE = [
  'gray10.mp4',
  'gray12.mp4',
  'twelve422.mp4',
  'rgb12.mp4',
  'twelve.webm',
  'four40.webm',
  'alpha.mov',
]
/** `cannot`: clips that a decoder refuses. The one in WebAssembly leaves out AV1 and ProRes. */
const decoders = [
  {
    decoder: 'native',
    name: 'node-webcodecs',
    here: hasNative(),
    cannot: ['mjpeg.mov', 'mjpeg.mp4', ...RARE],
  },
  { decoder: 'ffmpeg', name: 'ffmpeg', here: hasFfmpeg(), cannot: ['mjpeg.mov', 'mjpeg.mp4'] },
  {
    decoder: 'wasm',
    name: 'FFmpeg in WebAssembly',
    here: hasWasm(),
    cannot: ['gray.mp4', 'gray12.mp4', 'alpha.mov'],
  },
] as const

/** The message of the TrecvitError that opening and reading end in. */
async function errorOf(
  source: VideoSource | readonly VideoSource[],
  options: OpenOptions = {},
): Promise<string> {
  try {
    await hashesOf(await openVideo(source, options))
  } catch (error) {
    expect(error).toBeInstanceOf(TrecvitError)
    return (error as Error).message
  }
  throw new Error('no error')
}

describe.each(decoders)('$decoder', ({ decoder, name, here, cannot }) => {
  const options = { decoder, decoderUrl }
  for (const [clip, { format, count, sha256, first }] of Object.entries(expected)) {
    if (clip.endsWith('.png') || (cannot as readonly string[]).includes(clip)) continue
    test.skipIf(!here)(
      `${clip}: every plane of ${count} frames is ffmpeg's, byte for byte`,
      async () => {
        const video = await openVideo(media(clip), options)
        expect(video.info.decoder).toBe(name)
        const got = await hashesOf(video)
        expect(got).toMatchObject({ first, count, sha256 })
        // ffmpeg's names: j is full range, le the byte order, gbrp the planes of RGB.
        expect(got.frames[0]!.format).toBe(
          format.replace('yuvj', 'yuv').replace('le', '').replace('gbrp', 'yuv444p'),
        )
      },
    )
  }

  test.skipIf(!here)('clips that it cannot decode are refused in one sentence', async () => {
    for (const clip of cannot)
      expect(await errorOf(media(clip), options)).toMatch(
        /^\S+ \(.*\) cannot be decoded \(.*\): convert it with ffmpeg -i INPUT .*$/,
      )
  })

  test.skipIf(!here)(
    'times: a variable rate, B-frames, hidden frames and an edit list',
    async () => {
      const times = async (clip: string): Promise<number[]> =>
        (await hashesOf(await openVideo(media(clip), options))).times.map((t) =>
          Math.round(t * 1000),
        )
      expect(await times('vfr.mp4')).toEqual([0, 50, 100, 150, 200, 250, 300, 450, 600, 750, 900])
      expect(await times('h264.mp4')).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900])
      expect(await times('vp8.webm')).toEqual(Array.from({ length: 30 }, (_, i) => i * 100))
      expect(await times('cut.mp4')).toEqual([0, 100, 200, 300, 400])
    },
  )

  test.skipIf(!here)(
    'a change of size in the middle is refused, after the frames before it',
    async () => {
      const video = await openVideo(media('resize.webm'), options)
      let frames = 0
      const read = async (): Promise<void> => {
        for await (const frame of video) frames += frame.width === 96 ? 1 : 100
      }
      await expect(read()).rejects.toThrow(
        /resize\.webm" changes its size from 96x64 to 64x96 pixels after 0\.300 s/,
      )
      expect(frames).toBe(4)
    },
  )

  test.skipIf(!here)('damage that the decoder reports is an error', async () => {
    const bytes = readFileSync(media('tour.mp4'))
    bytes.fill(0, 45_000, 51_000)
    expect(await errorOf(bytes, options)).toMatch(
      joined(
        /^The video in memory cannot be decoded beyond \d\.\d+ s /,
        /\((node-webcodecs|ffmpeg|FFmpeg) reports .*\): it is damaged there$/,
      ),
    )
  })

  test.skipIf(!here)(
    'a file that ends inside its frames is an error, after the frames that are there',
    async () => {
      const video = await openVideo(media('truncated.mp4'), options)
      await expect(hashesOf(video)).rejects.toThrow(
        /truncated\.mp4" is cut short: frames that its index names lie beyond its end$/,
      )
      const webm = readFileSync(media('short.webm'))
      expect(await errorOf(webm.subarray(0, 25_000), options)).toMatch(
        /^The video in memory is cut short: its last 7037 bytes are missing$/,
      )
    },
  )

  test.skipIf(!here)('leaving the loop, close and abort free everything', async () => {
    const expectFree = (): Promise<void> =>
      vi.waitFor(() => expect(process.getActiveResourcesInfo()).not.toContain('ProcessWrap'))
    for await (const frame of await openVideo(media('tour.mp4'), options))
      if (frame.time > 0.1) break
    await expectFree()

    const unread = await openVideo(media('tour.mp4'), options)
    await unread.close()
    await unread.close()
    await expectFree()

    const closed = await openVideo(media('tour.mp4'), options)
    let frames = 0
    for await (const _ of closed) if (++frames === 5) await closed.close()
    expect(frames).toBe(5)

    const stop = new AbortController()
    const aborted = await openVideo(media('tour.mp4'), { ...options, signal: stop.signal })
    const reason = new Error('enough')
    const read = async (): Promise<void> => {
      for await (const frame of aborted) if (frame.time > 0.1) stop.abort(reason)
    }
    await expect(read()).rejects.toBe(reason)
    await expectFree()
    await expect(openVideo(media('tour.mp4'), { ...options, signal: stop.signal })).rejects.toBe(
      reason,
    )
  })
})

const open = async (
  clip: string,
): Promise<Awaited<ReturnType<typeof hashesOf>> & { info: object }> => {
  const video = await openVideo(media(clip))
  return { info: video.info, ...(await hashesOf(video)) }
}

test('what a video says of itself', async () => {
  const turned = await open('rotated.mp4')
  expect(turned.info).toMatchObject({
    container: 'mp4',
    codec: 'H.264 High, 4:2:0, 8 bit',
    width: 120,
    height: 160,
    rotation: 90,
    frames: 10,
    duration: 1,
    fps: 10,
  })
  expect(turned.frames[0]).toMatchObject({
    width: 160,
    height: 120,
    rotation: 90,
    format: 'yuv420p',
    matrix: 'bt601',
    fullRange: false,
    siting: 'left',
  })
  expect((await open('full709.mp4')).frames[0]).toMatchObject({ matrix: 'bt709', fullRange: true })
  expect(await open('hevc10.mp4')).toMatchObject({
    info: { codec: 'HEVC Main 10, 4:2:0, 10 bit' },
    frames: { 0: { format: 'yuv420p10' } },
  })
  expect(await open('rgb.mp4')).toMatchObject({
    frames: { 0: { format: 'yuv444p', matrix: 'rgb' } },
  })
  expect(await open('rgb12.mp4')).toMatchObject({
    frames: { 0: { format: 'yuv444p12', matrix: 'rgb', fullRange: true } },
  })
  expect(await open('gray.mp4')).toMatchObject({
    info: { codec: 'AV1 Main, 4:0:0, 8 bit' },
    frames: { 0: { format: 'gray', width: 97, height: 73 } },
  })
  expect((await open('odd.webm')).info).toMatchObject({
    container: 'webm',
    codec: 'VP9 Profile 0, 4:2:0, 8 bit',
    width: 321,
    height: 241,
    frames: null,
    fps: 10,
  })
  if (decoders[2].here)
    expect(
      (await openVideo(media('mjpeg.mov'), { decoder: 'wasm', decoderUrl })).info,
    ).toMatchObject({ container: 'mov', codec: 'Motion JPEG', frames: 4 })
  expect((await open('short.webm')).info).toMatchObject({ fps: 30 })
  expect((await open('vfr.mp4')).info).toMatchObject({ frames: 11 })
})

test('a video can be read once', async () => {
  const video = await openVideo(media('h264.mp4'))
  await hashesOf(video)
  expect(() => video[Symbol.asyncIterator]()).toThrow(
    'A video can be read once: open it again to read it from the beginning',
  )
})

describe('the same frames from every kind of source', () => {
  let server: Server
  let origin = ''
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url !== '/clip?key=secret') return void response.writeHead(404).end()
      const bytes = readFileSync(media('h264.mp4'))
      const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')
      if (range === null) return void response.end(bytes)
      const end = Math.min(bytes.length - 1, range[2] === '' ? Infinity : Number(range[2]))
      response
        .writeHead(206, { 'content-range': `bytes ${range[1]}-${end}/${bytes.length}` })
        .end(bytes.subarray(Number(range[1]), end + 1))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  })
  afterAll(() => void server.close())

  const bytes = (): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(media('h264.mp4')))
  const sources: Record<string, () => VideoSource> = {
    path: () => media('h264.mp4'),
    'file URL': () => pathToFileURL(media('h264.mp4')),
    'file URL text': () => pathToFileURL(media('h264.mp4')).href,
    'http URL': () => new URL(`${origin}/clip?key=secret`),
    'http URL text': () => `${origin}/clip?key=secret`,
    Blob: () => new Blob([bytes()]),
    File: () => new File([bytes()], 'clip.txt'),
    ArrayBuffer: () => bytes().buffer,
    Uint8Array: () => readFileSync(media('h264.mp4')),
    ReadableStream: () => new Blob([bytes()]).stream(),
  }
  test.each(Object.entries(sources))('%s', async (_, source) => {
    expect(await hashesOf(await openVideo(source()))).toMatchObject({
      sha256: expected['h264.mp4']!.sha256,
    })
  })

  test('a server that says no', async () => {
    expect(await errorOf(`${origin}/nothing?key=secret`)).toBe(
      `URL "${origin}/nothing" answered with HTTP 404 Not Found`,
    )
    expect(await errorOf('http://127.0.0.1:9/clip.mp4')).toMatch(
      /^URL "http:\/\/127\.0\.0\.1:9\/clip\.mp4" cannot be reached \(.*\)$/,
    )
  })
})

describe('what cannot be read, in one sentence each', () => {
  test.each([
    ['audio.mp4', /audio\.mp4" has no video, only audio: give a file with a video track$/],
    [
      'noindex.mp4',
      joined(
        /noindex\.mp4" has no index of its tracks: it was cut short, /,
        /or its recording was never finished$/,
      ),
    ],
    [
      'clip.avi',
      joined(
        /clip\.avi" is an AVI file, which is not read: /,
        /convert it with ffmpeg -i INPUT .* OUTPUT\.mp4$/,
      ),
    ],
    [
      'make.sh',
      /make\.sh" is no video of a known kind \(mp4, mov, webm, mkv, y4m, PNG, JPEG\): convert it/,
    ],
    ['missing.mp4', /^There is no file at ".*missing\.mp4"$/],
  ])('%s', async (name, message) => {
    expect(await errorOf(media(name))).toMatch(message)
  })

  test('nothing at all, and things that are no source', async () => {
    expect(await errorOf(new Uint8Array(0))).toBe(
      'The video in memory is empty (0 bytes): save or download it again',
    )
    expect(await errorOf(new Blob([]).stream())).toBe(
      'The stream is empty (0 bytes): save or download it again',
    )
    expect(await errorOf(7 as never)).toBe(
      'A video is opened from a path, URL, Blob, ArrayBuffer, Uint8Array or ReadableStream, ' +
        'not from number',
    )
    expect(await errorOf(media('h264.mp4'), { fps: -1 })).toBe(
      'fps must be a positive number, not -1',
    )
  })

  test.each([
    ['stts', 8],
    ['ctts', 8],
    ['stsz', 8],
    ['stsc', 12],
  ] as const)(
    'a table of samples (%s) that counts billions is refused before it is believed',
    async (box, offset) => {
      const bytes = readFileSync(media('h264.mp4'))
      bytes.writeUInt32BE(0xfffffff0, bytes.indexOf(box) + 4 + offset)
      expect(await errorOf(bytes)).toBe(
        'The video in memory has an index that names more frames than the file can hold: ' +
          'it is damaged',
      )
    },
  )

  test('a Matroska file with something else between its parts', async () => {
    const bytes = readFileSync(media('short.webm'))
    const cluster = bytes.lastIndexOf(Buffer.from([0x1f, 0x43, 0xb6, 0x75]))
    bytes[cluster] = 0x77
    expect(await errorOf(bytes)).toBe(
      `The video in memory is damaged at byte ${cluster}: ` +
        'a part of a Matroska file should begin there',
    )
  })

  test('bytes after the magic that make no sense', async () => {
    const webm = new Uint8Array(readFileSync(media('short.webm')))
    expect(await errorOf(webm.slice(0, 300))).toMatch(
      /^The video in memory (is cut short|has no index|cannot be read)/,
    )
    expect(await errorOf(webm.fill(0xff, 60))).toMatch(/^The video in memory /)
  })

  test.skipIf(!decoders[1].here)(
    'without node-webcodecs, ffmpeg decodes and the video says so',
    async () => {
      vi.doMock('node-webcodecs', () => {
        throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
      })
      try {
        const video = await openVideo(media('h264.mp4'))
        // vitest wraps the error.
        expect(video.info.decoder).toMatch(
          /^ffmpeg \(node-webcodecs (is not installed|cannot be loaded .*)\)$/,
        )
        await video.close()
      } finally {
        vi.doUnmock('node-webcodecs')
      }
    },
  )

  test.skipIf(!decoders[2].here)(
    'FFmpeg in WebAssembly: damage anywhere in the frames ends in a sentence or in frames',
    { tags: 'slow', timeout: 120_000 },
    async () => {
      const ends = { frames: 0, sentences: 0 }
      for (const clip of ['h264.mp4', 'hevc10.mp4', 'odd.webm', 'vp8.webm', 'mjpeg.mov']) {
        let seed = 1
        const random = (below: number): number =>
          (((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32) * below) | 0
        for (let round = 0; round < 20; round++) {
          const bytes = readFileSync(media(clip))
          for (let flips = 1 + random(20); flips > 0; flips--)
            bytes[random(bytes.length)]! ^= 1 << random(8)
          try {
            await hashesOf(await openVideo(bytes, { decoder: 'wasm', decoderUrl }))
            ends.frames++
          } catch (error) {
            expect(error, `${clip}, round ${round}`).toBeInstanceOf(TrecvitError)
            ends.sentences++
          }
        }
      }
      expect(ends.sentences).toBeGreaterThan(40)
      expect(ends.frames).toBeGreaterThan(5)
    },
  )

  test('a decoder that is not there, and one that does not know the codec', async () => {
    expect(
      await errorOf(media('h264.mp4'), {
        decoder: 'wasm',
        decoderUrl: new URL('nothing.wasm', import.meta.url),
      }),
    ).toMatch(
      joined(
        /h264\.mp4" \(H\.264 High, 4:2:0, 8 bit\) /,
        /cannot be decoded \(there is no decoder\.wasm at file:.*nothing\.wasm \(ENOENT: /,
        /no such file or directory\)\): give its address as decoderUrl; in a clone, /,
        /npm run build:decoder makes it$/,
      ),
    )
    expect(await errorOf(media('gray.mp4'), { decoder: 'wasm', decoderUrl })).toMatch(
      joined(
        /\(AV1 Main, 4:0:0, 8 bit\) cannot be decoded \(the WebAssembly decoder does not /,
        /know AV1 Main, 4:0:0, 8 bit\)/,
      ),
    )
  })

  test('of several decoders that fail, the message names one', async () => {
    const bytes = readFileSync(media('h264.mp4'))
    const at = bytes.indexOf('mdat')
    bytes.fill(0xff, at + 4, at + bytes.readUInt32BE(at - 4) - 4)
    const decoderUrl = new URL('nothing.wasm', import.meta.url)
    const path = join(mkdtempSync(join(tmpdir(), 'trecvit-')), 'x'.repeat(200))
    writeFileSync(path, bytes)
    try {
      const message = await errorOf(path, { decoderUrl })
      expect(message).toMatch(
        joined(
          /…" \(H\.264 High, 4:2:0, 8 bit\) cannot be decoded /u,
          /\([^;]* (reports [^;]*|is not installed)\): (convert it|install)/u,
        ),
      )
      expect(message.length).toBeLessThan(400)
    } finally {
      rmSync(dirname(path), { recursive: true })
    }
  })

  test('nobody who decodes', async () => {
    const path = process.env['PATH']
    process.env['PATH'] = '/nowhere'
    try {
      const message = await errorOf(media('hevc10.mp4'), { decoder: 'ffmpeg' })
      expect(message).toMatch(
        joined(
          /hevc10\.mp4" \(HEVC Main 10, 4:2:0, 10 bit\) /,
          /cannot be decoded \(ffmpeg is not installed\): install ffmpeg, /,
          /or npm install node-webcodecs$/,
        ),
      )
    } finally {
      process.env['PATH'] = path
    }
  })
})
