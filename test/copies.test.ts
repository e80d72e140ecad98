// @module-tag slow
/**
 * Copies between the output of a decoder and the input of the model. Planes are copied once: from
 * the memory of the decoder, the pipe or the file, which the next picture reuses.
 */
import { readFileSync } from 'node:fs'
import { afterEach, expect, test, vi } from 'vitest'
import { type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { decoderUrl, hasFfmpeg, hasNative, hasWasm, media } from './clips.ts'

afterEach(() => vi.restoreAllMocks())

/** Returns the bytes that JavaScript copies while a video is read, and the bytes of its planes. */
async function copiesOf(
  source: VideoSource | VideoSource[],
  options: OpenOptions,
): Promise<{ copied: number; planes: number }> {
  const video = await openVideo(source, options)
  let copied = 0
  const { set, slice } = Uint8Array.prototype
  vi.spyOn(Uint8Array.prototype, 'set').mockImplementation(function (
    this: Uint8Array,
    values: ArrayLike<number>,
    at?: number,
  ) {
    copied += values.length
    set.call(this, values, at)
  })
  vi.spyOn(Uint8Array.prototype, 'slice').mockImplementation(function (
    this: Uint8Array,
    from?: number,
    to?: number,
  ) {
    const part = slice.call(this, from, to)
    copied += part.length
    return part as Uint8Array<ArrayBuffer>
  })
  let planes = 0
  let isFirst = true
  for await (const frame of video) {
    // The first frame was decoded when the video was opened.
    if (!isFirst) planes += frame.planes.reduce((sum, { data }) => sum + data.length, 0)
    isFirst = false
  }
  vi.restoreAllMocks()
  return { copied, planes }
}

const clip = media('tour.mp4')
const packets = readFileSync(clip).length

test.each([
  // node-webcodecs copies planes itself.
  { decoder: 'native', here: hasNative, times: 0 },
  { decoder: 'ffmpeg', here: hasFfmpeg, times: 1 },
  { decoder: 'wasm', here: hasWasm, times: 1 },
] as const)('$decoder', async ({ decoder, here, times }) => {
  if (!here()) return
  const { copied, planes } = await copiesOf(clip, { decoder, decoderUrl })
  expect(planes).toBeGreaterThan(20 * packets)
  // Packets are also copied. They are small compared with planes.
  expect(copied).toBeLessThanOrEqual(times * planes + 4 * packets)
})

test('raw video and y4m', async () => {
  const [width, height] = [1920, 1080]
  const bytes = width * height * 3
  const raw = new Uint8Array(4 * bytes)
  const header = Buffer.from(`YUV4MPEG2 W${width} H${height} C444\n`)
  const frame = Buffer.concat([Buffer.from('FRAME\n'), raw.subarray(0, bytes)])
  const y4m = Buffer.concat([header, frame, frame, frame, frame])
  const format = { rawvideo: 'rgb24', width, height } as const
  for (const [source, options, frames] of [
    [raw, { format }, 4],
    [new Blob([raw]).stream(), { format }, 4],
    [y4m, {}, 4],
    [new Blob([y4m]).stream(), {}, 4],
  ] as const) {
    const { copied } = await copiesOf(source, options)
    // The first picture of a stream may have a false size in its header. Above 4 MB its buffer
    // grows, so it is copied.
    const growth = source instanceof ReadableStream ? 2 * bytes : 0
    expect(copied).toBeGreaterThanOrEqual(frames * bytes)
    expect(copied).toBeLessThanOrEqual(frames * bytes + growth + 1000)
  }
})

test('pictures', async () => {
  for (const name of ['picture.png', 'picture.jpg']) {
    const file = media(name)
    const { copied, planes } = await copiesOf([file, file, file], {})
    const compressed = readFileSync(file).length
    expect(copied).toBeLessThanOrEqual(planes + 2 * 4 * compressed)
  }
})
