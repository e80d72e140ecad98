/** Feature streams of models with and without a head. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { type FeatureStream, type FrameLike, TRecViT, TrecvitError } from '../src/index.ts'
import { Goldens, goldenUrl } from './goldens.ts'

const COUNT = 6
const SIZE = 64 * 64 * 3
let video: NdArray<Uint8Array>
let frames: NdArray<Uint8Array>[]
beforeAll(async () => {
  const { values } = (await Goldens.open('small_io.npz')).get('video')
  const data = Uint8Array.from(values.subarray(0, COUNT * SIZE))
  video = { data, shape: [COUNT, 64, 64, 3] }
  frames = Array.from({ length: COUNT }, (_, i) => ({
    data: data.subarray(i * SIZE, (i + 1) * SIZE),
    shape: [64, 64, 3],
  }))
})

describe.each([
  ['with', {}],
  ['without', { numClasses: 0, repSize: 0 }],
])('a model %s a head', (_, config) => {
  let model: TRecViT
  beforeAll(async () => {
    model = await TRecViT.load(goldenUrl('small.npz'), {
      device: 'wasm',
      threads: 1,
      config: { ...config, framesPerClip: COUNT },
    })
  })
  afterAll(() => model.dispose())

  async function featuresBy(stream: FeatureStream, from: readonly FrameLike[]) {
    const all: number[][] = []
    for await (const { features } of stream.run(from)) all.push([...features.data])
    return all
  }

  test('gives those of "features", frame by frame', async () => {
    const whole = await model.features(video)
    const stream = model.featureStream()
    const { features, frame } = await stream.push(frames[0]!)
    expect(frame).toBe(0)
    expect(features.shape).toEqual([1, ...whole.shape.slice(2)])
    const rest = await featuresBy(stream, frames.slice(1))
    expect([...features.data, ...rest.flat()]).toEqual([...whole.data])
    await stream.dispose()
  })

  test('goes on from a snapshot', async () => {
    const stream = model.featureStream()
    const want = await featuresBy(stream, frames)
    await stream.reset()
    await featuresBy(stream, frames.slice(0, 3))
    const again = await model.resumeFeatures(await stream.snapshot())
    expect(await featuresBy(again, frames.slice(3))).toEqual(want.slice(3))
    await Promise.all([stream.dispose(), again.dispose()])
    if (model.config.numClasses === 0)
      await expect(model.resume(await model.featureStream().snapshot())).rejects.toThrow('"resume"')
  })

  test('of a batch are those of each video alone', async () => {
    const stream = model.featureStream({ b: 2 })
    const two = new Uint8Array(2 * SIZE)
    two.set(frames[0]!.data)
    two.set(frames[3]!.data, SIZE)
    const { features } = await stream.push({ data: two, shape: [2, 64, 64, 3] })
    const alone = await featuresBy(model.featureStream(), [frames[3]!])
    expect(features.shape[0]).toBe(2)
    expect([...features.data.subarray(features.data.length / 2)]).toEqual(alone[0])
    await stream.dispose()
  })

  test('featuresOf reads a video, and frees its stream when the loop is left', async () => {
    const want = (await model.features(video)).data
    let count = 0
    for await (const { features, frame } of model.featuresOf(video)) {
      const size = features.data.length
      expect([...features.data]).toEqual([...want.subarray(frame * size, (frame + 1) * size)])
      if (++count === 4) break
    }
    expect(count).toBe(4)
    const wrong = model.featuresOf(frames, { fsp: 5 } as never)
    await expect(wrong.next()).rejects.toThrow(
      new TrecvitError('"featuresOf" has no option "fsp"; did you mean "fps"?'),
    )
  })
})
