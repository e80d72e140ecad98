import { describe, expect, test, vi } from 'vitest'
import { TrecvitError } from '../src/base/error.ts'
import { type Frame, type OpenOptions, openVideo, type VideoSource } from '../src/video/index.ts'
import { joined } from './joined.ts'

const text = (value: string): Uint8Array => Uint8Array.from(value, (c) => c.charCodeAt(0))

/** Returns a stream with chunks of this size, and counts the chunks that are requested. */
function inChunks(
  bytes: Uint8Array,
  size: number,
  pulls = { count: 0, cancelled: false },
): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulls.count++
        if (at >= bytes.length) return controller.close()
        controller.enqueue(bytes.slice(at, (at += size)))
      },
      cancel() {
        pulls.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
}

/** Returns a header and `count` frames of `bytes` bytes. Sample i of frame n is n + i. */
function y4m(header: string, bytes: number, count: number, parameters = ''): Uint8Array {
  const frames = Array.from({ length: count }, (_, n) => [
    ...text(`FRAME${parameters}\n`),
    ...Array.from({ length: bytes }, (_, i) => (n + i) & 255),
  ])
  return Uint8Array.from([...text(`YUV4MPEG2 ${header}\n`), ...frames.flat()])
}

async function framesOf(source: VideoSource, options: OpenOptions = {}): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of await openVideo(source, options)) frames.push(frame)
  return frames
}

async function errorOf(source: VideoSource, options: OpenOptions = {}): Promise<string> {
  const error = await framesOf(source, options).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

describe('y4m', () => {
  test.each([
    ['420jpeg', 'yuv420p', 'center', [15, 6, 6]],
    ['420', 'yuv420p', 'center', [15, 6, 6]],
    ['420mpeg2', 'yuv420p', 'left', [15, 6, 6]],
    ['420paldv', 'yuv420p', 'topleft', [15, 6, 6]],
    ['420p10', 'yuv420p10', 'left', [30, 12, 12]],
    ['422', 'yuv422p', 'left', [15, 9, 9]],
    ['422p10', 'yuv422p10', 'left', [30, 18, 18]],
    ['444', 'yuv444p', 'left', [15, 15, 15]],
    ['444p10', 'yuv444p10', 'left', [30, 30, 30]],
    ['mono', 'gray', 'left', [15]],
    ['420p12', 'yuv420p12', 'left', [30, 12, 12]],
    ['422p12', 'yuv422p12', 'left', [30, 18, 18]],
    ['444p12', 'yuv444p12', 'left', [30, 30, 30]],
    ['mono10', 'gray10', 'left', [30]],
    ['mono12', 'gray12', 'left', [30]],
  ] as const)('C%s', async (space, format, siting, sizes) => {
    const total = sizes.reduce((a: number, b) => a + b, 0)
    const frames = await framesOf(y4m(`W5 H3 F30000:1001 Ip A1:1 C${space} XYSCSS=420`, total, 3))
    expect(frames).toHaveLength(3)
    for (const [n, frame] of frames.entries()) {
      expect(frame).toMatchObject({
        format,
        siting,
        width: 5,
        height: 3,
        rotation: 0,
        matrix: 'bt601',
        fullRange: false,
      })
      expect(frame.time).toBeCloseTo((n * 1001) / 30000, 12)
      expect(frame.planes.map(({ data }) => data.length)).toEqual(sizes)
      expect(frame.planes.flatMap(({ data }) => [...data])).toEqual(
        Array.from({ length: total }, (_, i) => n + i),
      )
    }
  })

  test('defaults, ranges, frame parameters, heights of 720 rows', async () => {
    expect(await framesOf(y4m('W2 H2', 6, 2, ' Ixyz'))).toMatchObject([
      { format: 'yuv420p', siting: 'center', time: 0 },
      { time: 0.04 },
    ])
    expect(await framesOf(y4m('W2 H2 XCOLORRANGE=FULL', 6, 1))).toMatchObject([{ fullRange: true }])
    expect(await framesOf(y4m('W2 H720 Cmono', 1440, 1))).toMatchObject([{ matrix: 'bt709' }])
    expect((await openVideo(y4m('W2 H2 F50:2', 6, 1))).info).toEqual({
      ...{ container: 'y4m', codec: 'yuv420p', width: 2, height: 2, rotation: 0 },
      ...{ frames: null, duration: null, fps: 25, decoder: 'none needed' },
    })
  })

  test.each([1, 7, 100_000])('in chunks of %i bytes', async (size) => {
    const bytes = y4m('W6 H4 C444', 72, 5)
    expect(await framesOf(inChunks(bytes, size))).toEqual(await framesOf(bytes))
  })

  test('reads no chunk before it is needed, and releases the stream', {
    tags: 'slow',
  }, async () => {
    const pulls = { count: 0, cancelled: false }
    const stream = inChunks(y4m('W16 H16 Cmono', 256, 1000), 262, pulls)
    for await (const _ of await openVideo(stream)) break
    expect(pulls.count).toBeLessThan(5)
    expect(pulls.cancelled).toBe(true)
  })

  test('an abort ends a read that waits', async () => {
    const stop = new AbortController()
    const header = y4m('W16 H16 Cmono', 256, 1)
    const silent = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(header),
    })
    const video = await openVideo(silent, { signal: stop.signal })
    const times: number[] = []
    const read = async (): Promise<void> => {
      for await (const frame of video) times.push(frame.time)
    }
    setTimeout(() => stop.abort(new Error('enough')), 20)
    await expect(read()).rejects.toThrow('enough')
    expect(times).toEqual([0])
  })

  test('errors', async () => {
    const whole = y4m('W4 H4 Cmono', 16, 3)
    expect(await errorOf(whole.slice(0, -1))).toBe(
      'The video in memory is cut short: frame 2 has 15 of 16 bytes',
    )
    expect(await errorOf(whole.slice(0, -18))).toBe(
      'The video in memory has "FRAM" where frame 2 of the y4m stream should start with ' +
        '"FRAME": it is damaged',
    )
    expect(await errorOf(y4m('W4 H4 C411', 24, 1))).toBe(
      'The video in memory has the y4m colour space "411", which is not read: ' +
        'make it with ffmpeg -pix_fmt yuv420p',
    )
    expect(await errorOf(y4m('H4', 1, 0))).toMatch(
      joined(
        /^The y4m header of the video in memory is NaNx4 pixels: /,
        /sides must be integers from 1 to 16384/,
      ),
    )
    expect(await errorOf(y4m('W16000 H16000', 1, 0))).toMatch(
      joined(
        /^The y4m header of the video in memory is 16000x16000 pixels: /,
        /.* at most 67108864 pixels together$/,
      ),
    )
    expect(await errorOf(text('FRAME\nabc'), { format: 'y4m' })).toBe(
      'The video in memory is not y4m: it must start with "YUV4MPEG2 ", not with "FRAME"',
    )
    expect(await errorOf(text(`YUV4MPEG2 ${'x'.repeat(5000)}`))).toMatch(/^The y4m header/)
  })
})

/** Calls `work`. Returns the size of the largest array that it allocates. */
async function largestArray(work: () => Promise<unknown>): Promise<number> {
  let largest = 0
  vi.stubGlobal(
    'Uint8Array',
    new Proxy(Uint8Array, {
      construct(target, args) {
        if (typeof args[0] === 'number') largest = Math.max(largest, args[0])
        return Reflect.construct(target, args) as object
      },
    }),
  )
  await work().finally(() => vi.unstubAllGlobals())
  return largest
}

test('memory is allocated only for received bytes', { tags: 'slow' }, async () => {
  const size = { width: 8192, height: 8192 }
  const frame = (size: number, value: number) =>
    Buffer.concat([text('FRAME\n'), new Uint8Array(size).fill(value)])
  const header = Buffer.concat([text('YUV4MPEG2 W8192 H8192 C444p10\n'), frame(5e6, 1)])
  expect(await largestArray(() => errorOf(header))).toBeLessThan(20e6)
  expect(
    await largestArray(() =>
      errorOf(new Uint8Array(5e6), { format: { rawvideo: 'rgb24', ...size } }),
    ),
  ).toBeLessThan(20e6)
  const picture = 2048 * 1536
  const frames = await framesOf(
    Buffer.concat([
      text('YUV4MPEG2 W2048 H1536 C444\n'),
      frame(3 * picture, 7),
      frame(3 * picture, 9),
    ]),
  )
  expect(frames.map(({ planes }) => planes.map(({ data }) => data.length))).toEqual(
    Array(2).fill(Array(3).fill(picture)),
  )
  expect(frames.map(({ planes }) => [planes[0]!.data[0], planes[2]!.data.at(-1)])).toEqual([
    [7, 7],
    [9, 9],
  ])
})

describe('raw RGB', () => {
  const format = { rawvideo: 'rgb24', width: 3, height: 2 } as const
  test('frames, times and counts', async () => {
    const bytes = Uint8Array.from({ length: 54 }, (_, i) => i)
    const frames = await framesOf(inChunks(bytes, 7), { format, fps: 10 })
    expect(frames.map((frame) => [...frame.planes[0]!.data])).toEqual(
      [0, 1, 2].map((n) => [...bytes.subarray(n * 18, n * 18 + 18)]),
    )
    expect(frames.map((frame) => frame.time)).toEqual([0, 0.1, 0.2])
    expect(frames[0]).toMatchObject({
      format: 'rgb24',
      width: 3,
      height: 2,
      matrix: 'rgb',
      fullRange: true,
    })
    expect((await openVideo(bytes, { format })).info).toMatchObject({
      container: 'rawvideo',
      frames: 3,
      fps: 25,
      duration: 0.12,
    })
  })
  test('errors', async () => {
    expect(await errorOf(new Uint8Array(40), { format })).toBe(
      'The video in memory is cut short: frame 2 has 4 of the 18 bytes of 3x2 rgb24, ' +
        'or its size is another',
    )
    expect(await errorOf(new Uint8Array(40), { format: { ...format, width: 0 } })).toMatch(
      /^The raw video is 0x2 pixels: sides must be integers/,
    )
    expect(await errorOf(new Uint8Array(40), { format, fps: 0 })).toBe(
      'fps must be a positive number, not 0',
    )
  })
})
