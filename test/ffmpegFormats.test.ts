/**
 * Formats that FFmpeg demuxes: AVI, MPEG-TS, MPEG-PS, FLV, GIF, WebP and others. The installed
 * ffmpeg makes each clip. Frames and times must equal those of ffmpeg.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { DecoderChoice } from '../src/video/choices.ts'
import {
  type OpenOptions,
  openVideo,
  readFrames,
  toPixels,
  type VideoSource,
} from '../src/video/index.ts'
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

const folder = mkdtempSync(join(tmpdir(), 'trecvit-formats-'))
afterAll(() => rmSync(folder, { recursive: true }))

const DECODERS: readonly DecoderChoice[] = [
  ...(hasFfmpeg() ? (['ffmpeg'] as const) : []),
  ...(hasWasm() ? (['wasm'] as const) : []),
]

interface Listed {
  readonly md5: readonly string[]
  /** Milliseconds since the first frame. */
  readonly times: readonly number[]
}

const ffmpeg = (...options: string[]): string =>
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...options], { encoding: 'utf8', maxBuffer: 1e8 })

/** A moving picture with sound beside it, in a file of a kind. */
function make(name: string, options: string, source?: string): string {
  const path = join(folder, name)
  // MPEG-1 and MPEG-2 have few rates.
  const usual = `testsrc2=s=98x66:d=1.2:r=${options.includes('-c:v mpeg') ? 25 : 10}`
  const [output, sound = ''] = options.split('|').reverse() as [string, string?]
  ffmpeg(
    ...sound.split(' ').filter(Boolean),
    ...['-f', 'lavfi', '-i', source ?? usual, '-bitexact', ...output.split(' '), path],
  )
  return path
}

/** What ffmpeg gives: the planes of every picture, and their times. */
function listed(path: string, pixels: string): Listed {
  const text = ffmpeg(
    ...['-flags', '+bitexact', '-noautorotate', '-i', path, '-map', '0:V:0'],
    ...['-fps_mode', 'passthrough', '-pix_fmt', pixels, '-f', 'framemd5', '-'],
  )
  const [, num, den] = /#tb 0: (\d+)\/(\d+)/.exec(text)!
  const rows = text
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(',').map((field) => field.trim()))
  const ticks = rows.map((row) => Number(row[2]))
  const times = ticks.map((tick) => Math.round(((tick - ticks[0]!) * 1000 * +num!) / +den!))
  return { md5: rows.map((row) => row[5]!), times }
}

/** What openVideo gives. */
async function read(
  source: VideoSource,
  options: OpenOptions,
): Promise<Listed & { warnings: readonly string[] }> {
  const video = await openVideo(source, { decoderUrl, ...options })
  const md5: string[] = []
  const times: number[] = []
  for await (const { planes, time } of video) {
    const hash = createHash('md5')
    for (const { data } of planes) hash.update(data)
    md5.push(hash.digest('hex'))
    times.push(Math.round(time * 1000))
  }
  return { md5, times, warnings: video.warnings }
}

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
  test.each(CLIPS)('%s', async (name, container, options) => {
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
  })
})

const both = (run: (decoder: DecoderChoice) => Promise<void>) => async (): Promise<void> => {
  for (const decoder of DECODERS) await run(decoder)
}

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

describe('damage', () => {
  const clean = new Uint8Array(readFileSync(media('mpeg4.avi')))
  const damaged = clean.slice()
  damaged.fill(0x55, 9000, 9400)
  const cut = clean.slice(0, 10_000)

  test(
    'is an error by default',
    both(async (decoder) => {
      for (const source of [damaged, cut])
        await expect(read(source, { decoder })).rejects.toThrow(
          /^The video in memory (cannot be decoded beyond \d\.\d{3} s|is an AVI file, which)/,
        )
    }),
  )

  test(
    'ends the frames with a warning with "stop"',
    both(async (decoder) => {
      const { md5 } = await read(clean, { decoder })
      const stopped = await read(damaged, { decoder, onError: 'stop' })
      expect(stopped.md5.length).toBeGreaterThan(0)
      expect(stopped.md5.length).toBeLessThan(md5.length)
      expect(stopped.md5).toEqual(md5.slice(0, stopped.md5.length))
      expect(stopped.warnings).toEqual([expect.stringMatching(/cannot be decoded beyond/)])
    }),
  )

  test(
    'is skipped with a warning with "skip", as by ffmpeg',
    both(async (decoder) => {
      const { md5, times } = await read(clean, { decoder })
      const skipped = await read(damaged, { decoder, onError: 'skip' })
      expect(skipped.times).toEqual(times)
      expect(skipped.md5[0]).toBe(md5[0])
      expect(skipped.md5).not.toEqual(md5)
      expect(skipped.warnings[0]).toMatch(
        joined(
          /^The video in memory is damaged near \d\.\d{3} s \(.+\): /,
          /frames there may be missing or wrong$/,
        ),
      )
      const short = await read(cut, { decoder, onError: 'skip' })
      expect(short.md5.length).toBeGreaterThan(2)
      expect(short.md5.length).toBeLessThan(md5.length)
      expect(short.warnings.length).toBeGreaterThan(0)
    }),
  )

  test(
    'calls onWarning of readFrames',
    both(async (decoder) => {
      const warnings: string[] = []
      const onWarning = (warning: string): void => void warnings.push(warning)
      const options = { decoder, decoderUrl, onError: 'skip' } as const
      for await (const _ of readFrames(damaged, { ...options, onWarning }));
      expect(warnings[0]).toMatch(/ is damaged near \d\.\d{3} s /)
      expect(warnings).toEqual((await read(damaged, options)).warnings)
    }),
  )

  test('of an MP4 is skipped by FFmpeg', async () => {
    const whole = new Uint8Array(readFileSync(media('h264.mp4')))
    const broken = whole.slice()
    // The seventh packet.
    broken.fill(0xff, 5192, 5515)
    await expect(read(broken, {})).rejects.toThrow(/cannot be decoded beyond/)
    const { times } = await read(whole, {})
    for (const decoder of ['auto', ...DECODERS] as const) {
      const skipped = await read(broken, { decoder, onError: 'skip' })
      expect(times).toEqual(expect.arrayContaining([...skipped.times]))
      expect(skipped.times.length, decoder).toBeGreaterThan(6)
      expect(skipped.times.at(-1)).toBe(900)
      expect(skipped.times).toEqual([...skipped.times].sort((a, b) => a - b))
      expect(skipped.warnings[0]).toMatch(/cannot be decoded beyond/)
    }
  })

  test('in a list of pictures skips the picture', async () => {
    const png = new Uint8Array(readFileSync(media('picture.png')))
    const video = await openVideo([png, png.slice(0, 100), png], { onError: 'skip' })
    expect(await hashesOf(video)).toMatchObject({ count: 2, times: [0, 2 / 25] })
    expect(video.warnings).toEqual([expect.stringMatching(/is a damaged PNG file/)])
  })

  test('other values of onError are refused', async () => {
    const options = { onError: 'ignore' } as unknown as OpenOptions
    await expect(openVideo(clean, options)).rejects.toThrow(
      'onError expected one of "error", "stop", "skip", got "ignore"',
    )
  })
})

describe('pixels that are not square', () => {
  const ts = (): string => make('wide.ts', '-c:v mpeg2video -q 4 -aspect 16:9')

  test.skipIf(!hasFfmpeg())('are ignored, or widen the picture', async () => {
    const path = ts()
    for (const decoder of DECODERS) {
      const plain = await openVideo(path, { decoder, decoderUrl })
      expect(plain.info.pixelAspect).toBeCloseTo(16 / 9 / (98 / 66), 5)
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

test('what cannot be read is told with what to do', async () => {
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
