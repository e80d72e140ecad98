/** Browser pictures in a stream. Fakes replace the browser's classes. */
import { VideoSample } from 'mediabunny'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type FrameLike, TRecViT, TrecvitError } from '../src/index.ts'
import { timeOf } from '../src/stream/timeOf.ts'
import { camera, screenCapture } from '../src/video/browser/camera.ts'
import { type Frame, type FrameFormat, planeShapes, RGB } from '../src/video/frame.ts'
import { toPixels } from '../src/video/pixels/pixels.ts'
import { makeFrame } from './clips.ts'
import { goldenUrl } from './goldens.ts'

let model: TRecViT
beforeAll(async () => {
  model = await TRecViT.load(goldenUrl('small.npz'), { device: 'wasm', threads: 1 })
})
afterAll(() => model.dispose())
afterEach(() => void vi.unstubAllGlobals())

/** Number of open frames. */
let open = 0

/** A fake VideoFrame of these planes. Copying them takes some time. */
class FakeVideoFrame {
  readonly format: string | null
  readonly visibleRect: { width: number; height: number }
  readonly colorSpace: object
  readonly timestamp = 0
  readonly #bytes: Uint8Array
  readonly #layout: readonly { offset: number; stride: number }[]
  #closed = false

  constructor(
    format: string | null,
    { width, height }: { width: number; height: number },
    bytes: Uint8Array,
    layout: readonly { offset: number; stride: number }[],
    colorSpace: object = {},
  ) {
    this.format = format
    this.visibleRect = { width, height }
    this.colorSpace = colorSpace
    this.#bytes = bytes
    this.#layout = layout
    open++
  }
  allocationSize(): number {
    return this.#bytes.length
  }
  async copyTo(into: Uint8Array): Promise<readonly { offset: number; stride: number }[]> {
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (this.#closed) throw new DOMException('The frame is closed', 'InvalidStateError')
    into.set(this.#bytes)
    return this.#layout
  }
  clone(): FakeVideoFrame {
    if (this.#closed) throw new DOMException('The frame is closed', 'InvalidStateError')
    return new FakeVideoFrame(
      this.format,
      this.visibleRect,
      this.#bytes,
      this.#layout,
      this.colorSpace,
    )
  }
  close(): void {
    if (!this.#closed) open--
    this.#closed = true
  }
}

/** Returns a fake VideoFrame of a frame, with its planes in one buffer. */
function videoFrame(format: string, frame: Frame, colorSpace = {}): FakeVideoFrame {
  let offset = 0
  const layout = frame.planes.map(({ data, stride }) => {
    const plane = { offset, stride }
    offset += data.length
    return plane
  })
  const bytes = new Uint8Array(offset)
  frame.planes.forEach(({ data }, p) => bytes.set(data, layout[p]!.offset))
  return new FakeVideoFrame(format, frame, bytes, layout, colorSpace)
}

/** Like `videoFrame`, with both chroma planes interleaved. */
function nv12(frame: Frame): FakeVideoFrame {
  const [y, u, v] = frame.planes
  const [, shape] = planeShapes('yuv420p', frame.width, frame.height)
  const both = new Uint8Array(2 * u!.data.length)
  u!.data.forEach((value, i) => (both[2 * i] = value))
  v!.data.forEach((value, i) => (both[2 * i + 1] = value))
  const planes = [y!, { data: both, stride: 2 * shape!.stride }]
  return videoFrame('NV12', { ...frame, planes })
}

const size = { height: 64, width: 64 }
/** Returns a different picture for each seed. */
const picture = (format: FrameFormat, seed = 1): Frame => makeFrame(format, 81, 67, samples(seed))
const samples = (seed: number) => (p: number, x: number, y: number, c: number) =>
  (37 * seed + 91 * p + 5 * x * seed + 7 * y + 53 * c) % 251
const array = (frame: Frame) => ({ data: toPixels(frame, size), shape: [64, 64, 3] })

/** Returns the logits of frames that are pushed to a new stream. */
async function logitsOf(frames: readonly FrameLike[]): Promise<number[][]> {
  const stream = model.stream()
  const all: number[][] = []
  for await (const { logits } of stream.run(frames)) all.push([...logits.data])
  await stream.dispose()
  return all
}

async function errorOf(frame: unknown): Promise<string> {
  const stream = model.stream()
  const error = await stream.push(frame as FrameLike).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TrecvitError)
  // The stream continues as if the frame had not been pushed.
  expect((await stream.push(array(picture('yuv420p')))).frame).toBe(0)
  await stream.dispose()
  return (error as Error).message
}

test('the first picture may be closed as soon as it was pushed, too', async () => {
  const stream = model.stream()
  const frame = videoFrame('I420', picture('yuv420p'))
  const answer = stream.push(frame)
  frame.close()
  expect([...(await answer).logits.data]).toEqual((await logitsOf([array(picture('yuv420p'))]))[0])
  await stream.dispose()
  expect(open).toBe(0)
})

describe('planes of a VideoFrame', () => {
  test.each<[string, FrameFormat]>([
    ['I420', 'yuv420p'],
    ['I422', 'yuv422p'],
    ['I444', 'yuv444p'],
    ['I420P10', 'yuv420p10'],
    ['I422P10', 'yuv422p10'],
    ['I444P12', 'yuv444p12'],
  ])('%s: the pixels of the decoded frame', async (format, own) => {
    const frame = videoFrame(format, picture(own))
    expect(await logitsOf([frame])).toEqual(await logitsOf([picture(own)]))
    frame.close()
    expect(open).toBe(0)
  })

  test('NV12, of odd sides', async () => {
    const frame = nv12(picture('yuv420p'))
    expect(await logitsOf([frame])).toEqual(await logitsOf([picture('yuv420p')]))
    frame.close()
  })

  test('colour tags are honoured; without them the size decides', async () => {
    const tags = { matrix: 'bt709', fullRange: true }
    const frame = videoFrame('I420', picture('yuv420p'), tags)
    expect(await logitsOf([frame])).toEqual(
      await logitsOf([{ ...picture('yuv420p'), matrix: 'bt709', fullRange: true }]),
    )
    expect(await logitsOf([frame])).not.toEqual(await logitsOf([picture('yuv420p')]))
    frame.close()
  })

  test('rotation is honoured', async () => {
    const frame = Object.assign(videoFrame('I420', picture('yuv420p')), {
      rotation: 90,
      clone: () => Object.assign(videoFrame('I420', picture('yuv420p')), { rotation: 90 }),
    })
    expect(await logitsOf([frame])).toEqual(
      await logitsOf([{ ...picture('yuv420p'), rotation: 90 }]),
    )
    frame.close()
  })

  test('without planes, pixels are those that the browser draws', async () => {
    const rgba = makeFrame('rgba', 81, 67, samples(3), RGB)
    const frame = new FakeVideoFrame(null, rgba, rgba.planes[0]!.data, [
      { offset: 0, stride: rgba.planes[0]!.stride },
    ])
    expect(await logitsOf([frame])).toEqual(await logitsOf([rgba]))
    frame.close()
  })
})

test('a VideoSample of mediabunny: the pixels and the time of the decoded frame', async () => {
  // Of raw bytes, mediabunny accepts even sides only.
  const tags = { matrix: 'bt709', fullRange: false } as const
  const frame = { ...makeFrame('yuv420p', 80, 66, samples(1)), ...tags }
  const bytes = Buffer.concat(frame.planes.map(({ data }) => data))
  const sample = new VideoSample(bytes, {
    format: 'I420',
    codedWidth: frame.width,
    codedHeight: frame.height,
    timestamp: 1.5,
    colorSpace: tags,
  })
  expect(timeOf(sample)).toBe(1.5)
  const [want] = await logitsOf([frame])
  const stream = model.stream()
  const answer = stream.push(sample)
  sample.close()
  expect([...(await answer).logits.data]).toEqual(want)
  await stream.dispose()
  expect(await errorOf(sample)).toMatch(/^The VideoSample is closed/)
})

test.each([
  ['camera', camera, 'getUserMedia', { width: 640, height: 480 }],
  ['screenCapture', screenCapture, 'getDisplayMedia', true],
] as const)(
  '%s: newest frame, count of dropped ones, and the source is stopped',
  async (...row) => {
    const [, start, method, constraints] = row
    const track = {
      [Symbol.toStringTag]: 'MediaStreamTrack',
      kind: 'video',
      readyState: 'live',
      stop: () => (track.readyState = 'ended'),
    }
    const request = vi.fn(async () => ({ getTracks: () => [track], getVideoTracks: () => [track] }))
    vi.stubGlobal('navigator', { mediaDevices: { [method]: request } })
    const shown = Array.from({ length: 3 }, (_, i) =>
      Object.assign(videoFrame('I420', picture('yuv420p', 1 + i)), { timestamp: i * 40_000 }),
    )
    class Processor {
      readonly readable = new ReadableStream({
        start: (controller) => shown.forEach((frame) => controller.enqueue(frame)),
      })
    }
    vi.stubGlobal('MediaStreamTrackProcessor', Processor)

    const view = await start()
    expect(request).toHaveBeenCalledWith({ video: constraints })
    const got: Frame[] = []
    // The others arrive while the first one is copied.
    for await (const frame of view) if (got.push(frame) === 2) break
    expect(got.map(({ time }) => time)).toEqual([0, 0.08])
    expect(array(got[1]!)).toEqual(array(picture('yuv420p', 3)))
    expect(view.dropped).toBe(1)
    expect(track.readyState).toBe('ended')
    await vi.waitFor(() => expect(open).toBe(0))
  },
)

test('frames of every kind are answered in the order in which they were pushed', async () => {
  const kinds = (seed: number): FrameLike[] => [
    videoFrame('I420', picture('yuv420p', seed)),
    array(picture('yuv420p', seed + 1)),
    nv12(picture('yuv420p', seed + 2)),
    picture('yuv420p', seed + 3),
  ]
  const frames = [...kinds(1), ...kinds(5)]
  const plain = Array.from({ length: 8 }, (_, i) => array(picture('yuv420p', 1 + i)))
  const stream = model.stream()
  const answers = frames.map((frame) => stream.push(frame))
  for (const frame of frames) if ('close' in frame) frame.close()
  const snapshot = await stream.snapshot()
  const reset = stream.reset()
  expect((await Promise.all(answers)).map(({ logits }) => [...logits.data])).toEqual(
    await logitsOf(plain),
  )
  await reset
  expect(stream.frame).toBe(0)
  const again = await model.resume(snapshot)
  expect(again.frame).toBe(8)
  expect(open).toBe(0)
  await Promise.all([stream.dispose(), again.dispose()])
})

test('a frame that is aborted while it waits is closed', async () => {
  const stream = model.stream()
  const stop = new AbortController()
  const answers = [1, 2, 3].map((seed) => {
    const frame = videoFrame('I420', picture('yuv420p', seed))
    const answer = stream.push(frame, { signal: stop.signal })
    frame.close()
    return answer
  })
  stop.abort(new Error('enough'))
  const results = await Promise.allSettled(answers)
  expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: { message: 'enough' } })
  await stream.dispose()
  await vi.waitFor(() => expect(open).toBe(0))
})

test('errors are one sentence', async () => {
  const closed = videoFrame('I420', picture('yuv420p'))
  closed.close()
  expect(await errorOf(closed)).toBe(
    'The FakeVideoFrame is closed: close a frame after it was pushed, not before',
  )
  expect(await errorOf({ width: 3, height: 3 })).toBe(
    'A frame expected an array { data, shape }, a decoded frame, an ImageData or another ' +
      'picture of a page, got Object',
  )
  const broken = videoFrame('I420', picture('yuv420p'))
  broken.clone = () => Object.assign(broken, { copyTo: () => Promise.reject(new Error('lost')) })
  expect(await errorOf(broken)).toBe('The picture cannot be read (lost)')
  const huge = new FakeVideoFrame('I420', { width: 20000, height: 2 }, new Uint8Array(1), [])
  expect(await errorOf(huge)).toMatch(/^A picture of the browser is 20000x2 pixels/)
  huge.close()
})

test('classify takes pictures, in several views, too', { tags: 'slow' }, async () => {
  const frames = [1, 2, 3].map((seed) => videoFrame('I420', picture('yuv420p', seed)))
  const decoded = [1, 2, 3].map((seed) => picture('yuv420p', seed))
  for (const options of [{}, { views: 3 } as const]) {
    expect((await model.classify(frames, options)).logits).toEqual(
      (await model.classify(decoded, options)).logits,
    )
  }
  expect((await model.classify(frames[0]!)).frames).toBe(1)
  for (const frame of frames) frame.close()
  expect(open).toBe(0)
})

test('an ImageData may be changed as soon as it was pushed', { tags: 'slow' }, async () => {
  vi.resetModules()
  const { TRecViT: Fresh } = await import('../src/index.ts')
  await using fresh = await Fresh.load(goldenUrl('small.npz'), { device: 'wasm', threads: 1 })
  const rgba = makeFrame('rgba', 81, 67, samples(3), RGB)
  const want = await logitsOf([rgba, rgba])
  const data = Uint8ClampedArray.from(rgba.planes[0]!.data)
  const stream = fresh.stream()
  const got: number[][] = []
  for (let i = 0; i < 2; i++) {
    const image = { data: data.slice(), width: 81, height: 67 }
    const answer = stream.push(image)
    image.data.fill(0)
    got.push([...(await answer).logits.data])
  }
  expect(got).toEqual(want)
})
