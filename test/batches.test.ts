/** Clips and crops in a batch give the same results as alone. */
import { expect, test } from 'vitest'
import { TRecViT } from '../src/index.ts'
import type { Frame } from '../src/video/frame.ts'
import { toPixels } from '../src/video/index.ts'
import { goldenUrl } from './goldens.ts'

/** 12 frames of 80×64 with different noise. */
const frames = Array.from({ length: 12 }, (_, index): Frame => {
  let seed = index + 1
  const data = Uint8Array.from(
    { length: 80 * 64 * 3 },
    () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24,
  )
  const colour = { matrix: 'rgb', fullRange: true, siting: 'center' } as const
  const planes = [{ data, stride: 240 }]
  return { format: 'rgb24', width: 80, height: 64, planes, time: index, rotation: 0, ...colour }
})

const sideOf = (values: ArrayLike<number>) => Array.from(values)

test.each([
  [1, 3, 12],
  [5, 3, 6],
  [7, 1, 5],
] as const)('%i clips in %i views', { tags: 'slow' }, async (clips, views, framesPerClip) => {
  await using model = await TRecViT.load(goldenUrl('small.npz'), {
    device: 'wasm',
    config: { framesPerClip },
  })
  const got = await model.classify(frames, { clips, views })
  const sums = new Float64Array(model.config.numClasses)
  for (let clip = 0; clip < clips; clip++) {
    const start =
      clips === 1 ? 0 : Math.round((clip * (frames.length - framesPerClip)) / (clips - 1))
    for (let view = 0; view < views; view++) {
      const pixels = frames
        .slice(start, start + framesPerClip)
        .flatMap((frame) => sideOf(toPixels(frame, { height: 64, width: 64, view, views })))
      const alone = await model.classify({
        data: Uint8Array.from(pixels),
        shape: [framesPerClip, 64, 64, 3],
      })
      alone.logits.data.forEach((value, index) => (sums[index]! += value))
    }
  }
  expect(sideOf(got.logits.data)).toEqual(
    sideOf(Float32Array.from(sums, (sum) => sum / (clips * views))),
  )
  expect(got).toMatchObject({ clips, views, frames: clips * views * framesPerClip })
})

test('progress counts every frame of every clip, and an abort ends them', {
  tags: 'slow',
}, async () => {
  await using model = await TRecViT.load(goldenUrl('small.npz'), {
    device: 'wasm',
    config: { framesPerClip: 6 },
  })
  const reports: [number, number][] = []
  const onProgress = (done: number, total: number) => void reports.push([done, total])
  await model.classify(frames, { clips: 9, views: 3, onProgress })
  expect(reports.at(-1)).toEqual([162, 162])
  expect(reports.map(([done]) => done)).toEqual(
    [...reports.map(([done]) => done)].sort((a, b) => a - b),
  )
  const stop = new AbortController()
  const reason = new Error('enough')
  const aborted = model.classify(frames, {
    clips: 9,
    signal: stop.signal,
    onProgress: () => stop.abort(reason),
  })
  await expect(aborted).rejects.toBe(reason)
})
