/** Videos: frames of all decoders and sources, and video properties. */
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { openVideo, type VideoSource } from '../src/video/index.ts'
import { decoders, errorOf } from './clipReads.ts'
import { decoderUrl, demuxedByFfmpeg, expected, hashesOf, media } from './clips.ts'
import { joined } from './joined.ts'

/** Clips that npm test decodes. */
const QUICK = ['h264.mp4', 'hevc10.mp4', 'vp8.webm', 'vfr.mp4', 'palette.gif']

describe.each(decoders)('$decoder', ({ decoder, name, here, cannot }) => {
  const options = { decoder, decoderUrl }
  // In npm test a few clips, and the other tests with one decoder.
  const tags = decoder === 'native' ? [] : ['slow']
  for (const [clip, { format, count, sha256, first }] of Object.entries(expected)) {
    if (clip.endsWith('.png') || (cannot as readonly string[]).includes(clip)) continue
    if (decoder === 'native' && (demuxedByFfmpeg as readonly string[]).includes(clip)) continue
    test.skipIf(!here)(
      `${clip}: every plane of ${count} frames is ffmpeg's, byte for byte`,
      { tags: QUICK.includes(clip) ? [] : ['slow'] },
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

  test.skipIf(!here)(
    'clips that it cannot decode are refused in one sentence',
    { tags },
    async () => {
      for (const clip of cannot)
        expect(await errorOf(media(clip), options)).toMatch(
          /^\S+ \(.*\) cannot be decoded \(.*\): convert it with ffmpeg -i INPUT .*$/,
        )
    },
  )

  test.skipIf(!here)(
    'times: a variable rate, B-frames, hidden frames and an edit list',
    { tags },
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
    { tags },
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

  test.skipIf(!here)('damage that the decoder reports is an error', { tags }, async () => {
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
    { tags },
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

  test.skipIf(!here)('leaving the loop, close and abort free everything', { tags }, async () => {
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

test('the properties of a video', { tags: 'slow' }, async () => {
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

  test('a server that answers with an error', async () => {
    expect(await errorOf(`${origin}/nothing?key=secret`)).toBe(
      `URL "${origin}/nothing" answered with HTTP 404 Not Found`,
    )
    expect(await errorOf('http://127.0.0.1:9/clip.mp4')).toMatch(
      /^URL "http:\/\/127\.0\.0\.1:9\/clip\.mp4" cannot be reached \(.*\)$/,
    )
  })
})
