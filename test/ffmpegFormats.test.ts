// @module-tag slow
/**
 * Formats that FFmpeg demuxes: AVI, MPEG-TS, MPEG-PS, FLV, GIF, WebP and others. The installed
 * ffmpeg makes each clip. Frames and times must equal those of ffmpeg.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openVideo, toPixels } from '../src/video/index.ts'
import {
  decoderUrl,
  demuxedByFfmpeg,
  expected,
  hasFfmpeg,
  hashesOf,
  hasWasm,
  makeFrame,
  media,
  noise,
} from './clips.ts'
import { joined } from './joined.ts'
import { both, DECODERS, ffmpeg, listed, make, read } from './madeClips.ts'

/** Pixel formats other than yuv420p. */
const PIXELS: Readonly<Record<string, string>> = {
  'mjpeg.avi': 'yuvj420p',
  'bgr.avi': 'rgb24',
  'palette.gif': 'rgba',
}

/** Name, container of `info`, options of ffmpeg. */
const CLIPS: readonly (readonly [name: string, container: string, options: string])[] = [
  ['mpeg4.avi', 'avi', '-c:v mpeg4 -q 4 -bf 2'],
  ['qpel.avi', 'avi', '-c:v mpeg4 -q 4 -flags +qpel+aic -mbd 2'],
  ['xvid.avi', 'avi', '-c:v libxvid -q 4 -bf 2'],
  ['packed.avi', 'avi', '-c:v libxvid -q 4'],
  ['h264.avi', 'avi', '-c:v libx264 -bf 0'],
  ['h264-b.avi', 'avi', '-c:v libx264 -bf 2'],
  ['mjpeg.avi', 'avi', '-c:v mjpeg -q 4 -pix_fmt yuvj420p'],
  ['divx1.avi', 'avi', '-c:v msmpeg4v2 -q 4 -s 96x64'],
  ['divx3.avi', 'avi', '-c:v msmpeg4 -q 4 -s 96x64'],
  ['wmv1.avi', 'avi', '-c:v wmv1 -q 4 -s 96x64'],
  ['wmv2.avi', 'avi', '-c:v wmv2 -q 4 -s 96x64'],
  ['h263.avi', 'avi', '-c:v h263 -q 4 -s 128x96'],
  ['mpeg2.avi', 'avi', '-c:v mpeg2video -q 4'],
  ['bgr.avi', 'avi', '-c:v rawvideo -pix_fmt bgr24'],
  ['yuv.avi', 'avi', '-c:v rawvideo -pix_fmt yuv420p'],
  ['h264.ts', 'mpegts', '-c:v libx264 -bf 2'],
  ['hevc.ts', 'mpegts', '-c:v libx265 -x265-params log-level=none'],
  ['mpeg2.ts', 'mpegts', '-c:v mpeg2video -q 4 -bf 2'],
  ['mpeg4.ts', 'mpegts', '-c:v mpeg4 -q 4'],
  ['sound.ts', 'mpegts', '-f lavfi -i sine=d=1.2|-c:v libx264 -c:a mp2'],
  ['disc.m2ts', 'mpegts', '-c:v libx264 -mpegts_m2ts_mode 1'],
  ['mpeg1.mpg', 'mpegps', '-f lavfi -i sine=d=1.2|-c:v mpeg1video -q 4 -bf 2 -c:a mp2'],
  ['mpeg2.vob', 'mpegps', '-c:v mpeg2video -q 4 -bf 2 -f vob'],
  ['mpeg1.m1v', 'mpegvideo', '-c:v mpeg1video -q 4 -f mpeg1video'],
  ['mpeg2.m2v', 'mpegvideo', '-c:v mpeg2video -q 4 -bf 2 -f mpeg2video'],
  ['sorenson.flv', 'flv', '-c:v flv -q 4'],
  ['h264.flv', 'flv', '-f lavfi -i sine=d=1.2|-c:v libx264 -bf 2 -c:a aac'],
  ['palette.gif', 'gif', '-c:v gif'],
]

describe.skipIf(!hasFfmpeg())('frames and times are those of ffmpeg', () => {
  const check = async (...[name, container, options]: (typeof CLIPS)[number]) => {
    const path = make(name, options)
    const known = listed(path, PIXELS[name] ?? 'yuv420p')
    expect(known.md5.length).toBeGreaterThanOrEqual(10)
    for (const decoder of DECODERS) {
      const { warnings, ...frames } = await read(path, { decoder })
      expect(frames, decoder).toEqual(known)
      expect(warnings).toEqual([])
      const video = await openVideo(path, { decoder, decoderUrl })
      expect(video.info).toMatchObject({ container, frames: null })
      await video.close()
    }
  }
  test.each(CLIPS)('%s', check)
})

describe.each(demuxedByFfmpeg)('%s', (name) => {
  const bytes = new Uint8Array(readFileSync(media(name)))
  const { sha256, count } = expected[name]!

  test(
    'gives its frames from bytes, a Blob and a path',
    both(async (decoder) => {
      for (const source of [bytes, new Blob([bytes]), media(name)])
        expect(await hashesOf(await openVideo(source, { decoder, decoderUrl }))).toMatchObject({
          sha256,
          count,
        })
    }),
  )

  test(
    'gives them from a stream in small pieces',
    both(async (decoder) => {
      const video = await openVideo(trickle(bytes), { decoder, decoderUrl })
      expect(await hashesOf(video)).toMatchObject({ sha256, count })
    }),
  )

  test(
    'can be left early, closed unread and aborted',
    both(async (decoder) => {
      for await (const _ of await openVideo(bytes, { decoder, decoderUrl })) break
      await (await openVideo(bytes, { decoder, decoderUrl })).close()
      const stop = new AbortController()
      const video = await openVideo(bytes, { decoder, decoderUrl, signal: stop.signal })
      stop.abort(new Error('enough'))
      await expect(hashesOf(video)).rejects.toThrow('enough')
    }),
  )
})

function trickle(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) controller.close()
      else controller.enqueue(bytes.subarray(at, (at += 1000)))
    },
  })
}

describe('pixels that are not square', () => {
  test.skipIf(!hasFfmpeg()).each([
    ['wide.ts', '-c:v mpeg2video -q 4 -aspect 16:9'],
    ['wide.mp4', '-c:v libx264 -aspect 16:9'],
    ['wide.mkv', '-c:v libx264 -aspect 16:9'],
  ])('are ignored, or widen the picture: %s', async (name, options) => {
    const path = make(name, options)
    for (const decoder of DECODERS) {
      const plain = await openVideo(path, { decoder, decoderUrl })
      expect(plain.info.pixelAspect).toBeCloseTo(16 / 9 / (98 / 66), 2)
      for await (const frame of plain) expect(frame).not.toHaveProperty('pixelAspect')
      const applied = await openVideo(path, { decoder, decoderUrl, pixelAspect: 'apply' })
      for await (const frame of applied) expect(frame.pixelAspect).toBe(applied.info.pixelAspect)
    }
  })

  test('show the part of the picture that a wider one would show', () => {
    const narrow = makeFrame('gray', 20, 20, (_, x) => 12 * x)
    const shape = { width: 10, height: 10 }
    const [square, wide] = [narrow, { ...narrow, pixelAspect: 2 }].map((frame) =>
      toPixels(frame, shape),
    )
    const span = (pixels: Uint8Array): number => pixels[27]! - pixels[0]!
    expect(span(wide!) / span(square!)).toBeCloseTo(0.5, 1)
  })
})

test.skipIf(!hasFfmpeg())(
  'a transport stream may begin between key frames',

  async () => {
    const path = make('late.ts', '-c:v libx264 -g 6 -bf 0')
    const bytes = readFileSync(path)
    const third = Math.floor(bytes.length / 3)
    writeFileSync(path, bytes.subarray(third - (third % 188)))
    const { md5 } = listed(path, 'yuv420p', 'quiet')
    expect(md5.length).toBeGreaterThan(4)
    for (const decoder of DECODERS)
      expect(await read(path, { decoder })).toMatchObject({ md5, warnings: [] })
  },
)

test.skipIf(!hasFfmpeg())(
  'a title that looks like an error of ffmpeg is ignored',

  async () => {
    const path = make('title.avi', '-c:v mpeg4 -metadata title=[error]')
    expect((await read(path, { decoder: 'ffmpeg' })).md5).toEqual(listed(path, 'yuv420p').md5)
  },
)

describe('mirrored video', () => {
  test('is mirrored back by toPixels, at each turn', () => {
    const shape = { width: 12, height: 12 }
    for (const rotation of [0, 90, 180, 270] as const) {
      const frame = makeFrame('rgb24', 12, 12, noise(256), { matrix: 'rgb', rotation })
      const mirror = makeFrame('rgb24', 12, 12, (p, x, y, c) => noise(256)(p, 11 - x, y, c), {
        matrix: 'rgb',
        rotation,
        isMirrored: true,
      })
      expect(toPixels(mirror, shape)).toEqual(toPixels(frame, shape))
    }
  })

  test('is known by the display matrix of MP4', async () => {
    const bytes = readFileSync(media('h264.mp4'))
    const matrix = bytes.indexOf('tkhd') + 4 + 40
    bytes.writeInt32BE(-0x10000, matrix)
    const video = await openVideo(bytes)
    expect(video.info.rotation).toBe(0)
    for await (const frame of video) expect(frame).toMatchObject({ isMirrored: true, rotation: 0 })
  })
})

describe('WebP', () => {
  test.skipIf(!hasFfmpeg() || !hasWasm())(
    'animations have the pictures of their source',
    async () => {
      const source = 'testsrc2=size=64x48:rate=10:duration=0.5'
      const text = ffmpeg('-f', 'lavfi', '-i', source, '-pix_fmt', 'bgra', '-f', 'framemd5', '-')
      expect(text.match(/^0,/gm)).toHaveLength(5)
      const video = await openVideo(media('animated.webp'), { decoder: 'wasm', decoderUrl })
      expect(video.info).toMatchObject({ container: 'webp', codec: 'WebP', width: 64, height: 48 })
      expect((await hashesOf(video)).times).toEqual([0, 0.1, 0.2, 0.3, 0.4])
    },
  )

  test(
    'pictures have one frame',
    both(async (decoder) => {
      const { md5 } = await read(media('still.webp'), { decoder })
      expect(md5).toEqual(listed(media('still.webp'), 'yuv420p').md5)
    }),
  )
})

test('errors state what to do', async () => {
  await expect(openVideo(media('mpeg4.avi'), { decoder: 'native' })).rejects.toThrow(
    joined(
      /mpeg4\.avi" is an AVI file, which only the decoders "ffmpeg" and "wasm" read: /,
      /use decoder "auto"$/,
    ),
  )
  const text = new TextEncoder().encode('Good morning. '.repeat(100))
  await expect(openVideo(text)).rejects.toThrow(/is no video of a known kind/)
  const empty = new TextEncoder().encode('RIFF\x04\0\0\0AVI ')
  await expect(openVideo(empty, { decoderUrl })).rejects.toThrow(
    /^The video in memory is an AVI file, which cannot be read \(.*\): convert it with ffmpeg /,
  )
})
