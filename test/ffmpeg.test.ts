/**
 * Faults of the ffmpeg child process: reading always settles, and the child is ended and reaped.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { openVideo } from '../src/video/index.ts'
import { hashesOf, media } from './clips.ts'
import { expectReleased, type Held, held } from './held.ts'

const picture = (n: number, format: string, size = '320x240'): string =>
  `echo '[Parsed_showinfo_1 @ 0x1] [info] n:   ${n} pts: ` +
  `     0 fmt:${format} sar:1/1 s:${size} i:P iskey:1 type:I ' >&2`
const ENDLESS = 'exec cat /dev/zero'
/** Closes the output but keeps the process alive until its input is closed. */
const LINGER = 'exec >&- 2>&-; cat > /dev/null'

describe.skipIf(process.platform === 'win32')('an ffmpeg that misbehaves', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trecvit-ffmpeg-'))
  const path = process.env['PATH']
  let before: Held
  beforeEach(() => {
    before = held()
    process.env['PATH'] = folder + delimiter + path
  })
  afterEach(async () => {
    process.env['PATH'] = path
    await expectReleased(before)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  function becomes(script: string): void {
    writeFileSync(join(folder, 'ffmpeg'), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, 'ffmpeg'), 0o755)
  }

  test.each([
    [
      'an unknown pixel format',
      `${picture(0, 'xyz12le')}; ${ENDLESS}`,
      /gives the pixel format xyz12le, which is not read/,
    ],
    [
      'a size beyond all bounds',
      `${picture(0, 'yuv420p', '99999x99999')}; ${ENDLESS}`,
      /A picture of ffmpeg is 99999x99999 pixels/,
    ],
    [
      'another pixel format later',
      `${picture(0, 'gray')}; ${picture(1, 'gray10le')}; ${ENDLESS}`,
      /the pixel format changes from gray to gray10le/,
    ],
    [
      'half a picture',
      `${picture(0, 'gray')}; head -c 100 /dev/zero; ${LINGER}`,
      /ffmpeg ends after 100 of the 76800 bytes of a picture/,
    ],
    ['no picture', 'cat > /dev/null', /ffmpeg gives no picture/],
    ['an exit code alone', 'exit 3', /ffmpeg reports exit code 3/],
    [
      'an error while it waits for input',
      `echo '[fatal] Boom' >&2; ${LINGER}; exit 1`,
      /ffmpeg reports Boom/,
    ],
    [
      'an error under a flood of output',
      `${picture(0, 'xyz')}; echo '[error] Boom' >&2; ${ENDLESS}`,
      /xyz/,
    ],
    ['its own death', 'kill -9 $$', /ffmpeg reports exit code null/],
  ])(
    '%s',
    async (_, script, message) => {
      becomes(script)
      const error = await openVideo(media('tour.mp4'), { decoder: 'ffmpeg' })
        .then(hashesOf)
        .catch((error: unknown) => error)
      expect(error).toBeInstanceOf(TrecvitError)
      expect((error as Error).message).toMatch(message)
    },
    10_000,
  )

  test.each([
    ['silence', 'exec sleep 100'],
    ['a flood of output without a word', ENDLESS],
    ['a flood of words', "exec yes '[info] nothing' >&2"],
  ])(
    '%s: an abort ends it',
    async (_, script) => {
      becomes(script)
      const stop = new AbortController()
      setTimeout(() => stop.abort(new Error('enough')), 300)
      await expect(
        openVideo(media('tour.mp4'), { decoder: 'ffmpeg', signal: stop.signal }),
      ).rejects.toThrow('enough')
    },
    10_000,
  )

  test('a source that stalls does not hold up an error', async () => {
    becomes(`echo '[error] Boom' >&2; exit 1`)
    const bytes = readFileSync(media('short.webm'))
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes.subarray(0, 31_000)),
    })
    const error = await openVideo(stalled, { decoder: 'ffmpeg' }).catch((error: unknown) => error)
    expect((error as Error).message).toMatch(/ffmpeg reports Boom/)
  }, 10_000)

  test('RGB is known from the planes, whatever the container says', async () => {
    becomes(`${picture(0, 'gbrp10le')}; head -c 460800 /dev/zero; cat > /dev/null`)
    for await (const frame of await openVideo(media('tour.mp4'), { decoder: 'ffmpeg' })) {
      expect(frame).toMatchObject({ format: 'yuv444p10', matrix: 'rgb' })
      break
    }
  })
})
