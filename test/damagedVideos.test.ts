// @module-tag slow
/** Damaged videos with each value of onError. "skip" must return the same frames as ffmpeg. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type OpenOptions, openVideo, readFrames } from '../src/video/index.ts'
import { decoderUrl, hasFfmpeg, hashesOf, media } from './clips.ts'
import { joined } from './joined.ts'
import { both, DECODERS, listed, make, read } from './madeClips.ts'

const CLIPS = [
  ['damaged.avi', '-c:v mpeg4 -q 4 -bf 2'],
  ['damaged-h264.avi', '-c:v libx264 -g 5'],
  ['damaged.ts', '-c:v libx264 -g 5'],
  ['damaged.mpg', '-c:v mpeg2video -q 4'],
  ['damaged.flv', '-c:v flv -q 4'],
  ['damaged.mp4', '-c:v libx264 -g 5 -movflags +faststart'],
  ['damaged.mkv', '-c:v libx264 -g 5'],
] as const

/** ffmpeg skips an overwritten header, and conceals damage of some pictures, without a message. */
const SILENT: readonly string[] = ['damaged-h264.avi', 'damaged.mkv', 'damaged.mp4']

const DAMAGE = {
  'overwritten in the middle': (bytes: Buffer) =>
    bytes.fill(0x5a, bytes.length >> 1, (bytes.length >> 1) + 400),
  'cut short': (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * 0.6)),
}

describe.skipIf(!hasFfmpeg())('"skip" gives the frames of ffmpeg', () => {
  for (const [kind, damage] of Object.entries(DAMAGE)) {
    const check = async (name: string, options: string) => {
      const path = make(name, options)
      writeFileSync(path, damage(readFileSync(path)))
      const known = listed(path, 'yuv420p', 'quiet')
      for (const decoder of ['auto', ...DECODERS] as const) {
        const { md5, times, warnings } = await read(path, { decoder, onError: 'skip' })
        if (decoder === 'ffmpeg') expect(md5).toEqual(known.md5)
        // Versions of FFmpeg handle a damaged packet differently.
        expect(Math.abs(md5.length - known.md5.length), decoder).toBeLessThanOrEqual(1)
        expect(times).toEqual([...times].sort((a, b) => a - b))
        if (kind !== 'cut short' && decoder !== 'auto' && !SILENT.includes(name))
          expect(warnings.length, decoder).toBeGreaterThan(0)
        for (const warning of warnings)
          expect(warning).toMatch(/ (is damaged|is cut short|cannot be decoded)/)
      }
    }
    test.each(CLIPS)(`%s, ${kind}`, check)
  }
})

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
