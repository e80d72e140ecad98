/**
 * Pictures that a GPU reads. The copy of a picture to a texture, which only browsers have, is that
 * of bytes here; test/platforms/camera.mjs copies pictures.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backend, PictureReader } from '../src/backend/backend.ts'
import { waitOf } from '../src/backend/webgpu/chooseWait.ts'
import { GpuPictures } from '../src/backend/webgpu/gpuPictures.ts'
import { Submits } from '../src/backend/webgpu/submits.ts'
import { checkpointBytes, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, type FrameLike, TRecViT } from '../src/index.ts'
import { readByGpu } from '../src/video/browser/byGpu.ts'
import { RGB } from '../src/video/frame.ts'
import { toPixels } from '../src/video/pixels/pixels.ts'
import { realGpu } from './faults.ts'
import { gpu, openDevice } from './gpu.ts'

let open = 0

/** A VideoFrame of smooth RGBA pixels. */
class FakeVideoFrame {
  readonly format = null
  readonly visibleRect: { readonly width: number; readonly height: number }
  readonly colorSpace = {}
  readonly timestamp = 0
  readonly displayWidth: number
  readonly displayHeight: number
  readonly bytes: Uint8Array<ArrayBuffer>
  #isClosed = false

  constructor(width: number, height: number, seed: number, bytes?: Uint8Array<ArrayBuffer>) {
    this.displayWidth = width
    this.displayHeight = height
    this.visibleRect = { width, height }
    const wave = (i: number) => {
      const [x, y, channel] = [(i >> 2) % width, Math.floor(i / 4 / width), i % 4]
      if (channel === 3) return 255
      return 128 + 127 * Math.sin((x * (channel + 1)) / 9 + y / (4 + channel) + seed)
    }
    this.bytes = bytes ?? Uint8Array.from({ length: width * height * 4 }, (_, i) => wave(i))
    open++
  }
  allocationSize(): number {
    return this.bytes.length
  }
  async copyTo(): Promise<never[]> {
    throw new Error('The CPU reads the frame')
  }
  clone(): FakeVideoFrame {
    if (this.#isClosed) throw new DOMException('The frame is closed', 'InvalidStateError')
    return new FakeVideoFrame(this.displayWidth, this.displayHeight, 0, this.bytes)
  }
  close(): void {
    if (!this.#isClosed) open--
    this.#isClosed = true
  }
}

/** What the CPU makes of a picture. */
function byCpu(
  { bytes, displayWidth: width, displayHeight: height }: FakeVideoFrame,
  size: { readonly height: number; readonly width: number },
): Uint8Array {
  const planes = [{ data: bytes, stride: 4 * width }]
  return toPixels({ format: 'rgba', width, height, planes, time: 0, rotation: 0, ...RGB }, size)
}

/** Buffers of pixels that are not destroyed. */
const buffers = new Set<GPUBuffer>()

/** Lets a device copy fakes to textures, and counts its buffers of pixels. */
function copyFakes(device: GPUDevice): void {
  const { queue } = device
  const create = device.createBuffer.bind(device)
  device.createBuffer = (wanted) => {
    const buffer = create(wanted)
    if (wanted.label !== 'resized') return buffer
    buffers.add(buffer)
    const destroy = buffer.destroy.bind(buffer)
    buffer.destroy = () => {
      buffers.delete(buffer)
      return destroy()
    }
    return buffer
  }
  queue.copyExternalImageToTexture = ({ source }, { texture }) => {
    const { bytes, displayWidth, displayHeight } = source as unknown as FakeVideoFrame
    queue.writeTexture({ texture }, bytes, { bytesPerRow: 4 * displayWidth }, [
      displayWidth,
      displayHeight,
    ])
  }
}

describe.skipIf(!gpu)('the pixels of a picture on a GPU', { tags: ['gpu'] }, () => {
  let device: GPUDevice
  let submits: Submits
  const owner = {} as Backend
  beforeAll(async () => {
    device = await openDevice()
    copyFakes(device)
    submits = new Submits(device, await waitOf(device))
  })

  test.each([
    { columns: 320, rows: 180, height: 64, width: 64 },
    { columns: 100, rows: 120, height: 96, width: 96 },
    { columns: 33, rows: 47, height: 64, width: 32 },
    { columns: 50, rows: 40, height: 224, width: 224 },
    { columns: 700, rows: 60, height: 30, width: 31 },
    { columns: 1, rows: 1, height: 8, width: 12 },
  ])('$columns × $rows to $width × $height: within a level of those of the CPU', async (sizes) => {
    const { columns, rows, height, width } = sizes
    const pictures = await GpuPictures.open(owner, { device, submits }, { height, width })
    // Pictures of one size share a texture, so each must be read before the next copy.
    const frames = [new FakeVideoFrame(columns, rows, 1), new FakeVideoFrame(columns, rows, 2)]
    const read = frames.map((frame) => readByGpu(frame, { height, width }, pictures)!)
    for (const [index, frame] of frames.entries()) {
      const got = await read[index]!.bytes
      const want = byCpu(frame, { height, width })
      expect(got.length).toBe(want.length)
      const off = want.map((value, i) => Math.abs(value - got[i]!))
      expect(off.reduce((most, levels) => Math.max(most, levels))).toBeLessThanOrEqual(1)
      // Only sums near the middle of two levels round to the other one.
      expect(off.filter((levels) => levels > 0).length).toBeLessThan(want.length / 100)
    }
  })

  test('the CPU reads a picture that is too large, rotated, or in its memory', () => {
    const pictures = { maxSide: 99 } as PictureReader
    const size = { height: 8, width: 8 }
    expect(readByGpu(new FakeVideoFrame(100, 8, 1), size, pictures)).toBeNull()
    for (const change of [{ rotation: 90 }, { flip: true }])
      expect(
        readByGpu(Object.assign(new FakeVideoFrame(8, 8, 1), change), size, pictures),
      ).toBeNull()
    const data = new Uint8ClampedArray(4 * 8 * 8)
    expect(readByGpu({ data, width: 8, height: 8 }, size, pictures)).toBeNull()
  })
})

describe.skipIf(!gpu)('a stream whose GPU reads pictures', { tags: ['slow', 'gpu'] }, () => {
  const config = configOf('mu', { imageSize: [64, 64], repSize: 24, numClasses: 8 })
  const bytes = checkpointBytes(randomCheckpoint(config, 5))
  const frames = Array.from({ length: 6 }, (_, index) => new FakeVideoFrame(160, 90, index))
  const size = { height: 64, width: 64 }
  const arrays = frames.map((frame) => ({ data: byCpu(frame, size), shape: [64, 64, 3] }))

  /** Logits of frames, which are pushed at once. */
  async function logitsOf(
    stream: ReturnType<TRecViT['stream']>,
    given: readonly FrameLike[],
  ): Promise<number[][]> {
    const answers = await Promise.all(given.map((frame) => stream.push(frame)))
    return answers.map(({ logits }) => [...logits.data])
  }

  function expectNear(got: readonly number[][], want: readonly number[][]): void {
    const largest = Math.max(...want.flat().map(Math.abs))
    got.forEach((row, frame) =>
      row.forEach((value, i) =>
        expect(Math.abs(value - want[frame]![i]!), `frame ${frame}`).toBeLessThan(0.02 * largest),
      ),
    )
  }

  test('answers nearly as with arrays, in order, and frees its copies', async () => {
    buffers.clear()
    const { gpu: entry } = realGpu(copyFakes)
    await using model = await TRecViT.load(await bytes, { device: 'webgpu', gpu: entry })
    const want = await logitsOf(model.stream(), arrays)
    const before = open
    const stream = model.stream({ pixels: 'gpu' })
    expectNear(await logitsOf(stream, frames), want)
    expect(open).toBe(before)
    // Arrays and pictures may come in turn.
    await stream.reset()
    expectNear(await logitsOf(stream, [frames[0]!, arrays[1]!, frames[2]!]), want.slice(0, 3))
    const features = model.featureStream({ pixels: 'gpu' })
    expect((await features.push(frames[0]!)).features.data.length).toBeGreaterThan(0)
    // Frames that are removed from the queue free their pixels, too.
    const stop = new AbortController()
    const removed = frames.map((frame) => stream.push(frame, { signal: stop.signal }))
    stop.abort()
    await Promise.allSettled(removed)
    await expect.poll(() => buffers.size, { timeout: 9000 }).toBe(0)
  })

  test('after a loss, a move or a snapshot no answered frame is missing', async () => {
    const { gpu: entry, devices } = realGpu(copyFakes)
    await using model = await TRecViT.load(await bytes, { device: 'webgpu', gpu: entry })
    const want = await logitsOf(model.stream(), arrays)
    const stream = model.stream({ pixels: 'gpu' })
    expectNear(await logitsOf(stream, frames.slice(0, 3)), want.slice(0, 3))
    devices.at(-1)!.destroy()
    await devices.at(-1)!.lost
    // The CPU would read the frame until the new device is there.
    expectNear(await logitsOf(stream, arrays.slice(3, 4)), want.slice(3, 4))
    expectNear(await logitsOf(stream, frames.slice(4, 5)), want.slice(4, 5))
    const resumed = await model.resume(await stream.snapshot(), { pixels: 'gpu' })
    expectNear(await logitsOf(resumed, frames.slice(5)), want.slice(5))
    await stream.moveTo('wasm')
    await expect(stream.push(frames[5]!)).rejects.toThrow('The CPU reads the frame')
    expectNear(await logitsOf(stream, arrays.slice(5)), want.slice(5))
  })

  test('a frame whose pixels are lost with the device is one sentence', async () => {
    const { gpu: entry, devices } = realGpu(copyFakes)
    await using model = await TRecViT.load(await bytes, { device: 'webgpu', gpu: entry })
    const stream = model.stream({ pixels: 'gpu' })
    const [first] = await logitsOf(stream, frames.slice(0, 1))
    const lost = stream.push(frames[1]!)
    devices.at(-1)!.destroy()
    await expect(lost).rejects.toThrow(/pixels of a frame could be copied.*push the frame again$/)
    await stream.reset()
    expectNear(await logitsOf(stream, frames.slice(0, 1)), [first!])
  })

  test('refuses a closed frame and another value', async () => {
    const { gpu: entry } = realGpu(copyFakes)
    await using model = await TRecViT.load(await bytes, { device: 'webgpu', gpu: entry })
    expect(() => model.stream({ pixels: 'cpu' as 'gpu' })).toThrow(
      '"pixels" expected \'exact\' or \'gpu\', got "cpu"',
    )
    const stream = model.stream({ pixels: 'gpu' })
    await stream.push(frames[0]!)
    const closed = frames[1]!.clone()
    closed.close()
    await expect(stream.push(closed)).rejects.toThrow(
      'is closed: close a frame after it was pushed',
    )
  })
})
