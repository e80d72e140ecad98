import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { beforeAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, TRecViT, TrecvitError } from '../src/index.ts'
import { Goldens, goldenUrl } from './goldens.ts'

let model: TRecViT
/** 12 frames of 64×64. */
let video: NdArray<Uint8Array>

beforeAll(async () => {
  model = await TRecViT.load(goldenUrl('small.npz'), {
    device: 'wasm',
    config: { framesPerClip: 6 },
  })
  const { shape, values } = (await Goldens.open('small_io.npz')).get('video')
  video = { data: Uint8Array.from(values), shape }
})

const frames = (from: number, to: number): NdArray<Uint8Array> => ({
  data: video.data.subarray(from * 12288, to * 12288),
  shape: [to - from, 64, 64, 3],
})

describe('load', () => {
  test('accepts a path, URL, Blob or bytes; models have different fingerprints', {
    tags: 'slow',
  }, async () => {
    expect(model.config).toMatchObject({
      width: 96,
      depth: 3,
      mlpDim: 384,
      numHeads: 3,
      numClasses: 7,
      repSize: 256,
      framesPerClip: 6,
      imageSize: [64, 64],
    })
    expect(model.device).toEqual({
      backend: 'wasm',
      kernels: expect.stringMatching(/^(simd|relaxed)$/),
      threads: Math.min(8, availableParallelism()),
      reason: null,
      gpu: null,
    })
    expect(model.labels).toBeNull()
    const bytes = await readFile(goldenUrl('small.npz'))
    for (const source of [
      goldenUrl('small.npz').pathname,
      new Blob([bytes]),
      new Uint8Array(bytes),
    ]) {
      expect((await TRecViT.load(source)).fingerprint).toBe(model.fingerprint)
    }
    const other = await TRecViT.load(goldenUrl('small_gap.npz'), {
      config: { imageSize: [64, 64] },
    })
    expect(other.fingerprint).not.toBe(model.fingerprint)
  })

  test('the fingerprint depends on the weights, not on the file', { tags: 'slow' }, async () => {
    const config = configOf('mu', { imageSize: [32, 32], repSize: 8, numClasses: 3 })
    const [one, other] = await Promise.all(
      [1, 2].map((seed) => checkpointBytes(randomCheckpoint(config, seed))),
    )
    const fingerprint = async (source: Uint8Array | URL) =>
      (await TRecViT.load(source, { device: 'wasm' })).fingerprint
    expect(await fingerprint(one!)).not.toBe(await fingerprint(other!))
    expect(await fingerprint(goldenUrl('mu_deflate.npz'))).toBe(
      await fingerprint(goldenUrl('mu.npz')),
    )
  })

  test('reports progress to the end', { tags: 'slow' }, async () => {
    const seen: [number, number][] = []
    await TRecViT.load(goldenUrl('small.npz'), {
      onProgress: (done, total) => seen.push([done, total]),
    })
    expect(seen.length).toBe(100)
    expect(seen[seen.length - 1]![0]).toBe(seen[0]![1])
    expect(seen.every(([done], index) => index === 0 || done > seen[index - 1]![0])).toBe(true)
  })

  test('can be aborted', async () => {
    await expect(
      TRecViT.load(goldenUrl('small.npz'), { signal: AbortSignal.abort() }),
    ).rejects.toThrow(/abort/i)
  })

  test('labels must be as many as classes', async () => {
    await expect(TRecViT.load(goldenUrl('small.npz'), { labels: ['a', 'b'] })).rejects.toThrow(
      '"labels" expected 7 names, one for each class, got 2',
    )
  })

  test('with head: false it has features only', { tags: 'slow' }, async () => {
    const encoder = await TRecViT.load(goldenUrl('small.npz'), {
      config: { numClasses: 0, repSize: 0, framesPerClip: 6 },
    })
    expect((await encoder.features(frames(0, 6))).data).toEqual(
      (await model.features(frames(0, 6))).data,
    )
    expect(() => encoder.stream()).toThrow('"stream" expected a model with a class head')
    expect(encoder.warnings).toEqual([expect.stringContaining('decoder/pre_logits/kernel')])
  })
})

describe('forward', () => {
  test('cuts clips as the official model does, and says when frames are left over', async () => {
    const result = await model.forward(video)
    expect(result.clipLogits.shape).toEqual([1, 2, 7])
    expect(result.preLogits.shape).toEqual([1, 2, 256])
    const alone = await model.forward(frames(6, 12))
    expect(alone.logits.data).toEqual(result.clipLogits.data.slice(7))
    // 8 frames are one clip of 8: floor(8 / 6) = 1.
    expect((await model.forward(frames(0, 8))).clipLogits.shape).toEqual([1, 1, 7])
    const odd = { data: new Uint8Array(13 * 12288), shape: [13, 64, 64, 3] }
    await expect(model.forward(odd)).rejects.toThrow(
      '"frames" of 13 expected a multiple of their 2 clips; drop 1 of them',
    )
  })

  test('probabilities are the mean over clips of probabilities', async () => {
    const { probs, clipProbs } = await model.forward(video)
    const mean = Float32Array.from(
      { length: 7 },
      (_, index) => (clipProbs.data[index]! + clipProbs.data[7 + index]!) / 2,
    )
    expect(probs.data).toEqual(mean)
  })

  test('a batch of two videos has the answers of the single videos', async () => {
    const both = await model.forward({ data: video.data, shape: [2, 6, 64, 64, 3] })
    expect(both.logits.shape).toEqual([2, 7])
    expect(both.logits.data.slice(7)).toEqual((await model.forward(frames(6, 12))).logits.data)
  })

  test('refuses frames of another size by name', async () => {
    await expect(
      model.forward({ data: new Uint8Array(3 * 32 * 32 * 3), shape: [3, 32, 32, 3] }),
    ).rejects.toThrow('"frames" expected shape [t,64,64,3] or [b,t,64,64,3], got [3,32,32,3]')
    await expect(
      model.forward({ data: new Uint8Array(10), shape: [3, 64, 64, 3] }),
    ).rejects.toThrow('"frames" expected 36864 elements for shape [3,64,64,3], got 10')
    await expect(
      model.forward({ data: [1], shape: [1] } as unknown as NdArray),
    ).rejects.toBeInstanceOf(TrecvitError)
  })

  test('can be aborted between chunks', async () => {
    const stop = new AbortController()
    const work = model.forward(video, { signal: stop.signal, onProgress: () => stop.abort() })
    await expect(work).rejects.toThrow(/abort/i)
  })
})

describe('classify', () => {
  test('an array: every frame, one clip', async () => {
    const result = await model.classify({ data: video.data, shape: [12, 64, 64, 3] }, { topK: 3 })
    expect(result).toMatchObject({ frames: 12, clips: 1, views: 1 })
    const stream = model.stream({ average: 'all' })
    const push = (frame: number) =>
      stream.push({ data: frames(frame, frame + 1).data, shape: [64, 64, 3] })
    for (let frame = 0; frame < 11; frame++) await push(frame)
    const last = await push(11)
    expect(result.logits.data).toEqual(last.logits.data)
    expect(result.top.map(({ index }) => index)).toEqual(
      last.top.slice(0, 3).map(({ index }) => index),
    )
    expect(result.top[0]!.prob).toBeGreaterThanOrEqual(result.top[1]!.prob)
  })

  test('clips are spread from the first frame to the last and averaged', async () => {
    const result = await model.classify({ data: video.data, shape: [12, 64, 64, 3] }, { clips: 2 })
    const official = await model.forward(video)
    expect(result).toMatchObject({ frames: 12, clips: 2 })
    expect(result.probs.data).toEqual(official.probs.data)
  })

  test('a video without frames is an error', async () => {
    await expect(model.classify([])).rejects.toThrow('The video has no frames')
  })
})

test('trace holds every step by name, profile its time', async () => {
  const tensors = await model.trace(frames(0, 2))
  expect(tensors.get('tokens')!.shape).toEqual([1, 2, 17, 96])
  expect(tensors.get('encoder/encoderblock_2/out')!.data.every(Number.isFinite)).toBe(true)
  const profile = await model.profile(frames(0, 2))
  expect(profile.map(({ name }) => name)).toEqual([...tensors.keys()])
  expect(profile.every(({ milliseconds }) => milliseconds >= 0)).toBe(true)
})

test('trace of a stream is of its next frame, with what the frames before left', async () => {
  const frame = (index: number) => ({ data: frames(index, index + 1).data, shape: [64, 64, 3] })
  const all = { average: 'all' } as const
  const [stream, other] = [model.stream(all), model.stream(all)]
  for (const [pushed, traced] of [
    [stream, other],
    [other, stream],
  ] as const) {
    const { logits } = await pushed.push(frame(0))
    const tensors = await traced.trace(frame(0))
    expect(tensors.get('logits')!.data).toEqual(logits.data)
    expect(traced.frame).toBe(pushed.frame)
  }
  const { logits } = await stream.push(frame(1))
  expect((await other.trace(frame(1))).get('logits')!.data).toEqual(logits.data)
  await expect(stream.trace({ data: new Uint8Array(3), shape: [1, 1, 3] })).rejects.toThrow(
    'A frame expected shape',
  )
})
