/** Random variants of clips. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Augmentation, augment } from '../../src/train/augment.ts'
import { epochsOf } from '../../src/train/samples.ts'

/** Options that change nothing. */
const same: Augmentation = { scale: [1, 1], brightness: 0, contrast: 0, saturation: 0 }

/** A clip whose pixel (frame, y, x) is [frame, 10·y, 10·x]. */
function ramp(t: number, height: number, width: number) {
  const data = new Uint8Array(t * height * width * 3)
  for (let i = 0; i < data.length / 3; i++) {
    const x = i % width
    const y = Math.floor(i / width) % height
    data.set([Math.floor(i / (width * height)), 10 * y, 10 * x], 3 * i)
  }
  return { data, shape: [t, height, width, 3] }
}

const seeds = Array.from({ length: 40 }, (_, seed) => seed)
const hash = ({ data }: { data: Uint8Array }) =>
  createHash('sha256').update(data).digest('hex').slice(0, 16)
/** Colour of the first pixel of each frame. */
const channel = ({ data }: { data: Uint8Array }, colour: number) =>
  Array.from(data.filter((_, i) => i % 3 === colour))

test('without scale and colours a clip stays the same', () => {
  const clip = ramp(3, 6, 8)
  expect(augment(clip, { ...same, seed: 1 })).toEqual(clip)
})

test('the same seed gives the same bits in every runtime', () => {
  const clip = ramp(5, 16, 24)
  const options = { size: [12, 12], frames: 3, stride: [1, 2], flip: true } as const
  const hashes = seeds.map((seed) => hash(augment(clip, { ...options, seed })))
  expect(hashes.slice(0, 3)).toEqual(['ca82b70e33dd6959', '3ef65619a7509319', '9ca22c4995cc3b22'])
  expect(new Set(hashes).size).toBe(seeds.length)
})

test('half of the clips are mirrored, and none by default', () => {
  const clip = ramp(2, 4, 8)
  const mirrored = (flip: boolean) =>
    seeds.filter((seed) => channel(augment(clip, { ...same, flip, seed }), 2)[0] === 70).length
  expect(mirrored(false)).toBe(0)
  expect(mirrored(true)).toBeGreaterThan(10)
  expect(mirrored(true)).toBeLessThan(30)
  const [flipped] = seeds
    .map((seed) => augment(clip, { ...same, flip: true, seed }))
    .filter((found) => found.data[2] === 70)
  expect(channel(flipped!, 2).slice(0, 8)).toEqual([70, 60, 50, 40, 30, 20, 10, 0])
  expect(channel(flipped!, 1)).toEqual(channel(clip, 1))
})

test('crops lie in the clip, at every place', () => {
  const clip = ramp(1, 20, 24)
  const crops = seeds.map((seed) => augment(clip, { ...same, size: [16, 16], seed }))
  const edges = crops.map(({ shape, data }) => {
    expect(shape).toEqual([1, 16, 16, 3])
    return [data[1]! / 10, data[2]! / 10, data.at(-2)! / 10, data.at(-1)! / 10]
  })
  for (const [top, left, bottom, right] of edges) {
    expect(bottom! - top!).toBeCloseTo(15, 0)
    expect(right! - left!).toBeCloseTo(15, 0)
    expect(bottom!).toBeLessThanOrEqual(19)
  }
  const range = (index: number) => [
    Math.min(...edges.map((edge) => edge[index]!)),
    Math.max(...edges.map((edge) => edge[index]!)),
  ]
  expect(range(0)[0]).toBeLessThan(0.7)
  expect(range(0)[1]).toBeGreaterThan(3.3)
  expect(range(1)[0]).toBeLessThan(1.2)
  expect(range(1)[1]).toBeGreaterThan(6.8)
})

test('the scale is drawn from its range, and the crop covers the result', () => {
  const clip = ramp(1, 20, 20)
  /** Pixels of the clip over the width of the result. */
  const widths = (scale: readonly [number, number]) =>
    seeds.map((seed) => {
      const { data } = augment(clip, { ...same, size: [10, 10], scale, seed })
      return ((data.at(-1)! - data[2]!) / 10 / 9) * 10
    })
  for (const width of widths([2, 2])) expect(width).toBeCloseTo(5, 0)
  for (const width of widths([0.1, 0.4])) expect(width).toBeCloseTo(20, 0)
  const drawn = widths([0.5, 2])
  expect(Math.min(...drawn)).toBeLessThan(6)
  expect(Math.max(...drawn)).toBeGreaterThan(15)
})

test('frames are taken from every offset, with every stride that fits', () => {
  const clip = ramp(12, 1, 1)
  const taken = seeds.map((seed) =>
    channel(augment(clip, { ...same, frames: 4, stride: [1, 3], seed }), 0),
  )
  for (const frames of taken) {
    const stride = frames[1]! - frames[0]!
    expect(frames).toEqual([0, 1, 2, 3].map((i) => frames[0]! + i * stride))
  }
  expect(new Set(taken.map(([first, second]) => second! - first!))).toEqual(new Set([1, 2, 3]))
  expect(new Set(taken.map(([first]) => first)).size).toBe(9)
  const short = ramp(5, 1, 1)
  for (const seed of seeds) {
    const options = { ...same, stride: [2, 3] as const, seed }
    expect(channel(augment(short, { ...options, frames: 4 }), 0)).toHaveLength(4)
    expect(channel(augment(short, { ...options, frames: 9 }), 0)).toEqual([0, 1, 2, 3, 4])
  }
})

describe('colours', () => {
  const grey = (value: number) => ({ data: new Uint8Array(12).fill(value), shape: [1, 2, 2, 3] })
  const spread = (values: readonly number[]) => [Math.min(...values), Math.max(...values)]

  test('brightness multiplies all pixels', () => {
    const values = seeds.map((seed) => {
      const { data } = augment(grey(100), { ...same, brightness: 0.5, seed })
      expect(new Set(data).size).toBe(1)
      return data[0]!
    })
    expect(spread(values)[0]).toBeLessThan(60)
    expect(spread(values)[1]).toBeGreaterThan(140)
  })

  test('contrast keeps the mean grey', () => {
    const clip = { data: Uint8Array.from([80, 80, 80, 120, 120, 120]), shape: [1, 1, 2, 3] }
    const values = seeds.map((seed) => {
      const { data } = augment(clip, { ...same, contrast: 0.5, seed })
      expect(data[0]! + data[3]!).toBeCloseTo(200, -1)
      return data[3]! - data[0]!
    })
    expect(spread(values)[0]).toBeLessThan(26)
    expect(spread(values)[1]).toBeGreaterThan(54)
  })

  test('saturation keeps the grey of each pixel', () => {
    const clip = { data: Uint8Array.from([200, 100, 50]), shape: [1, 1, 1, 3] }
    const values = seeds.map((seed) => {
      const [r, g, b] = augment(clip, { ...same, saturation: 0.5, seed }).data
      expect(Math.abs(0.299 * r! + 0.587 * g! + 0.114 * b! - 124.2)).toBeLessThan(1)
      return r! - b!
    })
    expect(spread(values)[0]).toBeLessThan(90)
    expect(spread(values)[1]).toBeGreaterThan(210)
    expect(augment(grey(77), { ...same, saturation: 1, seed: 3 })).toEqual(grey(77))
  })
})

test('a run varies its clips, and a resumed one in the same way', async () => {
  const samples = [3, 5, 7, 9, 11].map((side, label) => ({
    clip: { ...ramp(2, 8, 8), data: ramp(2, 8, 8).data.map((value) => (value + side) % 256) },
    label,
  }))
  let reads = 0
  const read = samples.map(({ clip, label }) => ({ clip: () => (reads++, clip), label }))
  const batchesOf = async (skip: number, given: typeof read | typeof samples = samples) => {
    const plan = { epochs: 4, batch: 2, seed: 7, skip, signal: undefined, augment: {} }
    const found = []
    for await (const { batch, epoch } of epochsOf(given, plan))
      for (const { clips, labels } of batch)
        found.push({ hash: hash(clips as never), labels, epoch })
    return found
  }
  const all = await batchesOf(0)
  expect(all.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
  expect(new Set(all.map((batch) => batch.hash)).size).toBe(12)
  expect(await batchesOf(10, read)).toEqual(all.slice(10))
  // The three epochs that are skipped are not read.
  expect(reads).toBe(5)
})

test.each([
  [{ scale: [2, 1] }, '"augment.scale" expected a range of positive numbers, got'],
  [{ stride: [0, 1] }, '"augment.stride" expected a range of integers'],
  [{ frames: 1.5 }, '"augment.frames" expected a positive integer, got 1.5'],
  [{ contrast: 2 }, '"augment.contrast" expected a number from 0 to 1, got 2'],
  [{ flip: 1 }, '"augment.flip" expected true or false, got 1'],
  [{ size: 224 }, '"augment.size" expected two integers, got 224'],
  [{ colour: 1 }, '"augment" has no option "colour"'],
])('%o is refused', (options, message) => {
  expect(() => augment(ramp(1, 2, 2), { ...(options as object), seed: 1 })).toThrow(message)
})

test('features are refused', () => {
  const features = { data: new Float32Array(4), shape: [1, 4] }
  expect(() => augment(features as never, { seed: 1 })).toThrow('"clip" expected bytes of shape')
})
