/**
 * The clips of test/media, expected results from ffmpeg, and generated frames.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type Frame, type FrameFormat, LAYOUTS, planeShapes } from '../src/video/frame.ts'
import type { Video } from '../src/video/video.ts'

export const media = (name: string): string =>
  fileURLToPath(
    new URL(
      name === 'tour.mp4' || name === 'short.webm' ? `../models/${name}` : `media/${name}`,
      import.meta.url,
    ),
  )

/**
 * Per clip: pixel format of ffmpeg, number of frames, hash over the hashes of the frames, hash of
 * the first frame.
 */
export const expected: Record<
  string,
  { format: string; count: number; sha256: string; first: string }
> = JSON.parse(readFileSync(new URL('media/planes.json', import.meta.url), 'utf8'))

/** Reads a video to its end and hashes its frames. */
export async function hashesOf(video: Video): Promise<{
  count: number
  sha256: string
  first: string
  times: number[]
  frames: Omit<Frame, 'planes'>[]
}> {
  const hashes: string[] = []
  const frames: Omit<Frame, 'planes'>[] = []
  for await (const { planes, ...frame } of video) {
    const hash = createHash('sha256')
    for (const { data } of planes) hash.update(data)
    hashes.push(hash.digest('hex'))
    frames.push(frame)
  }
  return {
    count: hashes.length,
    sha256: createHash('sha256').update(hashes.join('\n')).digest('hex'),
    first: hashes[0]!,
    times: frames.map((frame) => frame.time),
    frames,
  }
}

function installed(name: string, found: boolean): boolean {
  if (!found && process.env['CI']) throw new Error(`${name} is needed to run these tests in CI`)
  if (!found) console.warn(`\n*** SKIPPED: tests that need ${name}, which is not installed ***\n`)
  return found
}

export const hasFfmpeg = (): boolean =>
  installed('ffmpeg', spawnSync('ffmpeg', ['-version']).status === 0)

export function hasNative(): boolean {
  try {
    return installed(
      'node-webcodecs',
      createRequire(import.meta.url).resolve('node-webcodecs') !== '',
    )
  } catch {
    return installed('node-webcodecs', false)
  }
}

/** Location of the WebAssembly decoder, if it was built. */
export const decoderUrl: URL = new URL('../build/decoder/decoder.wasm', import.meta.url)

export const hasWasm = (): boolean =>
  installed(
    'decoder.wasm with demuxers (npm run build:decoder)',
    existsSync(decoderUrl) && readFileSync(decoderUrl).includes('openFile'),
  )

/** Clips that the decoder "native" does not support. */
export const demuxedByFfmpeg = [
  'mpeg4.avi',
  'h264.mpegts',
  'mpeg2.mpg',
  'sorenson.flv',
  'palette.gif',
] as const

/**
 * Returns a frame. The function returns the sample of plane p at column x, row y (in the plane) and
 * channel c.
 */
export function makeFrame(
  format: FrameFormat,
  width: number,
  height: number,
  sample: (p: number, x: number, y: number, c: number) => number,
  over: Partial<Frame> = {},
): Frame {
  const { depth, channels } = LAYOUTS[format]
  const planes = planeShapes(format, width, height).map(({ stride, rows }, p) => {
    const count = depth > 8 ? stride / 2 : stride
    const samples = depth > 8 ? new Uint16Array(count * rows) : new Uint8Array(count * rows)
    for (let y = 0; y < rows; y++)
      for (let i = 0; i < count; i++)
        samples[y * count + i] = sample(p, Math.floor(i / channels), y, i % channels)
    return { data: new Uint8Array(samples.buffer), stride }
  })
  return {
    format,
    width,
    height,
    planes,
    time: 0,
    matrix: 'bt601',
    fullRange: false,
    siting: 'left',
    rotation: 0,
    ...over,
  }
}

/** Returns repeatable noise: an integer from 0 to `levels` - 1 per position. */
export function noise(levels: number): (p: number, x: number, y: number, c: number) => number {
  return (p, x, y, c) => {
    let h =
      Math.imul(p * 31 + c + 1, 0x9e3779b1) ^
      Math.imul(x + 1, 0x85ebca6b) ^
      Math.imul(y + 1, 0xc2b2ae35)
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
    return ((h ^ (h >>> 13)) >>> 0) % levels
  }
}
