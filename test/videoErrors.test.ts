/** Files that cannot be read as videos, and the error of each. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { openVideo } from '../src/video/index.ts'
import { decoders, errorOf } from './clipReads.ts'
import { decoderUrl, hashesOf, media } from './clips.ts'
import { joined } from './joined.ts'

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
      'make.sh',
      joined(
        /make\.sh" is no video of a known kind \(mp4, mov, webm, mkv, avi, ts, mpg, flv, gif, /,
        /webp, y4m, PNG, JPEG\): convert it/,
      ),
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
    'a sample table (%s) that declares billions is refused before memory is allocated',
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

  test('a missing decoder, and one that does not support the codec', async () => {
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

  test('of several decoders that fail, the message names one', { tags: 'slow' }, async () => {
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

  test('no decoder available', async () => {
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
