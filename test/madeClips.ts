/** Generates clips with the installed ffmpeg. Decodes them with ffmpeg and openVideo. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { DecoderChoice } from '../src/video/choices.ts'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { decoderUrl, hasFfmpeg, hasWasm } from './clips.ts'

const folder = mkdtempSync(join(tmpdir(), 'trecvit-formats-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Installed decoders that can demux. */
export const DECODERS: readonly DecoderChoice[] = [
  ...(hasFfmpeg() ? (['ffmpeg'] as const) : []),
  ...(hasWasm() ? (['wasm'] as const) : []),
]

/** Planes and times of all frames. */
export interface Listed {
  readonly md5: readonly string[]
  /** Milliseconds since the first frame. */
  readonly times: readonly number[]
}

/** Runs ffmpeg and returns its output. */
export const ffmpeg = (...options: string[]): string =>
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...options], { encoding: 'utf8', maxBuffer: 1e8 })

/**
 * Makes a clip of a moving test picture.
 * @param options options of the output; options of a second input come before a `|`
 */
export function make(name: string, options: string, source?: string): string {
  const path = join(folder, name)
  // MPEG-1 and MPEG-2 support few frame rates.
  const usual = `testsrc2=s=98x66:d=1.2:r=${options.includes('-c:v mpeg') ? 25 : 10}`
  const [output, sound = ''] = options.split('|').reverse() as [string, string?]
  ffmpeg(
    ...sound.split(' ').filter(Boolean),
    ...['-f', 'lavfi', '-i', source ?? usual, '-bitexact', ...output.split(' '), path],
  )
  return path
}

/** Decodes a clip with ffmpeg on one thread: more threads may decode damage differently. */
export function listed(path: string, pixels: string, level = 'error'): Listed {
  const text = ffmpeg(
    ...['-v', level, '-threads', '1', '-flags', '+bitexact', '-noautorotate', '-i', path],
    ...['-map', '0:V:0', '-fps_mode', 'passthrough', '-pix_fmt', pixels, '-f', 'framemd5', '-'],
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

/** Decodes a clip with openVideo. */
export async function read(
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

/** Runs a test with each decoder. */
export const both = (run: (decoder: DecoderChoice) => Promise<void>) => async (): Promise<void> => {
  for (const decoder of DECODERS) await run(decoder)
}
