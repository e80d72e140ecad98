/** Invalid pixel values at every entry point: an error, and the stream continues. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { TRecViT, TrecvitError } from '../src/index.ts'
import { goldenUrl } from './goldens.ts'

const SIDE = 64
const SIZE = SIDE * SIDE * 3
let model: TRecViT

beforeAll(async () => {
  model = await TRecViT.load(goldenUrl('small.npz'), {
    device: 'wasm',
    config: { framesPerClip: 6 },
  })
})

/** Returns float32 frames of a gradient in 0..1. `wrong` replaces one value. */
function floats(
  shape: readonly number[],
  wrong?: readonly [at: number, value: number],
): NdArray<Float32Array> {
  const size = shape.reduce((product, side) => product * side, 1)
  const data = Float32Array.from({ length: size }, (_, i) => (i % 256) / 255)
  if (wrong) data[wrong[0]] = wrong[1]
  return { data, shape }
}

async function errorOf(work: () => unknown): Promise<string> {
  const error: unknown = await (async () => await work())().catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

const wrongs: readonly (readonly [at: number, value: number])[] = [
  [0, NaN],
  [SIZE - 1, NaN],
  [777, Infinity],
  [778, -Infinity],
  [5, 255],
  [6, 1.0000001],
  [7, -1e-30],
]

describe.each(wrongs)('value %d is %d', (at, value) => {
  const message = (name: string) =>
    `"${name}" expected float32 numbers from 0 to 1, got ${Math.fround(value)} at value ${at}; ` +
    'pass 0 to 255 as a Uint8Array'
  const frame = floats([SIDE, SIDE, 3], [at, value])
  const frames = floats([1, SIDE, SIDE, 3], [at, value])

  test('is refused by every method that takes pixels', async () => {
    const stream = model.stream()
    expect(await errorOf(() => stream.push(frame))).toBe(message('frame'))
    expect(await errorOf(() => stream.trace(frame))).toBe(message('frame'))
    expect(await errorOf(() => stream.run([frame]).next())).toBe(message('frame'))
    await stream.dispose()
    for (const work of ['forward', 'features', 'trace', 'profile'] as const) {
      expect(await errorOf(() => model[work](frames))).toBe(message('frames'))
    }
    expect(await errorOf(() => model.classify(frames))).toBe(message('video'))
    expect(await errorOf(() => model.classify(frames, { clips: 1 }))).toBe(message('video'))
    expect(await errorOf(() => model.classify([frame]))).toBe(message('frame'))
    async function* later() {
      yield frame
    }
    expect(await errorOf(() => model.classify(later()))).toBe(message('frame'))
  })
})

test('a refused frame leaves the stream as it was', async () => {
  const [disturbed, plain] = [model.stream(), model.stream()]
  for (let index = 0; index < 4; index++) {
    const frame = floats([SIDE, SIDE, 3], [index, 0.25])
    await errorOf(() => disturbed.push(floats([SIDE, SIDE, 3], [index, NaN])))
    const [got, want] = [await disturbed.push(frame), await plain.push(frame)]
    expect(got.frame).toBe(index)
    expect([...got.logits.data]).toEqual([...want.logits.data])
    expect(got.logits.data.every(Number.isFinite)).toBe(true)
  }
  await Promise.all([disturbed.dispose(), plain.dispose()])
})

test('the wrong value of any of b videos is found', async () => {
  const stream = model.stream({ b: 2 })
  expect(await errorOf(() => stream.push(floats([2, SIDE, SIDE, 3], [SIZE + 3, NaN])))).toMatch(
    `got NaN at value ${SIZE + 3};`,
  )
  await stream.dispose()
})

test('the ends of the range, and a negative zero, are pixels', async () => {
  const stream = model.stream()
  for (const value of [0, -0, 1, 2 ** -149]) await stream.push(floats([SIDE, SIDE, 3], [9, value]))
  expect(stream.frame).toBe(4)
  await stream.dispose()
})

test.each([
  [
    'a shape of fractions',
    { data: new Uint8Array(SIZE * 1.5), shape: [1.5, SIDE, SIDE, 3] },
    '"frames" expected a shape of integers, got [1.5,64,64,3]',
  ],
  [
    'a negative shape',
    { data: new Uint8Array(SIZE), shape: [-1, -SIDE, SIDE, 3] },
    '"frames" expected a shape of integers, got [-1,-64,64,3]',
  ],
  [
    'a Float64Array',
    { data: new Float64Array(SIZE) as never, shape: [1, SIDE, SIDE, 3] },
    '"frames" expected { data: Float32Array | Uint8Array, shape: number[] }, got Object',
  ],
])('%s', async (_, frames: NdArray, message) => {
  expect(await errorOf(() => model.forward(frames))).toBe(message)
})

test('values that are not frames, and an ImageData of floats', async () => {
  const stream = model.stream()
  for (const wrong of [undefined, null, 7, 'frame.png']) {
    expect(await errorOf(() => stream.push(wrong as never))).toMatch(
      /^A frame expected an array \{ data, shape \}, a decoded frame, an ImageData or another /,
    )
  }
  const half = { data: new Uint16Array(16) as never, width: 2, height: 2 }
  expect(await errorOf(() => stream.push(half))).toBe(
    'An ImageData expected bytes in a Uint8ClampedArray, got Uint16Array; ' +
      'ask the canvas for "rgba-unorm8"',
  )
  expect(
    await errorOf(() => stream.push({ data: new Uint8ClampedArray(16), width: 2, height: 2.5 })),
  ).toMatch(/^The ImageData is 2x2\.5 pixels/)
  expect((await stream.push({ data: new Uint8ClampedArray(16), width: 2, height: 2 })).frame).toBe(
    0,
  )
  await stream.dispose()
})
