import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TRecViT } from '../src/index.ts'
import { openNamed } from '../src/named.ts'
import { openVideo, sample } from '../src/video/index.ts'
import { Goldens, goldenUrl } from './goldens.ts'

interface Truth {
  readonly frames: number
  readonly segments: readonly {
    readonly label: string
    readonly first: number
    readonly last: number
  }[]
}

const truths = JSON.parse(readFileSync(goldenUrl('truth.json'), 'utf8')) as Record<string, Truth>
let model: TRecViT

beforeAll(async () => {
  model = await TRecViT.load('builtin')
})

afterAll(() => model.dispose())

test('the file contains configuration and labels, and is small', async () => {
  expect(model.labels).toEqual([
    'static',
    'pan left',
    'pan right',
    'tilt up',
    'tilt down',
    'zoom in',
    'zoom out',
    'roll clockwise',
    'roll counterclockwise',
    'shake',
  ])
  expect(model.config).toMatchObject({
    width: 64,
    depth: 4,
    numClasses: 10,
    framesPerClip: 16,
    imageSize: [96, 96],
    poolType: 'tok',
  })
  expect(model.warnings).toEqual([])
  expect(((await openNamed('builtin', {})) as Uint8Array).length).toBeLessThan(850_000)
})

/**
 * Returns the largest difference from a golden array (computed in float64), relative to the largest
 * value of the array.
 */
function distance(want: Float32Array, got: readonly Float32Array[]): number {
  const all = got.flatMap((values) => [...values])
  expect(all.length).toBe(want.length)
  return (
    Math.max(...all.map((value, index) => Math.abs(value - want[index]!))) /
    Math.max(...want.map(Math.abs))
  )
}

// The goldens are those of the weights from which training starts.
test('logits equal the golden ones, over all frames and over the last 8', {
  tags: 'slow',
}, async () => {
  const start = new URL('../examples/motion/start.safetensors', import.meta.url)
  await using model = await TRecViT.load(readFileSync(start))
  const goldens = await Goldens.open('motion_io.npz')
  const { values: video } = goldens.get('video')
  const stream = model.stream({ average: { frames: 8 } })
  const answers = []
  for (let frame = 0; frame < 24; frame++) {
    const data = Uint8Array.from(video.subarray(frame * 27648, (frame + 1) * 27648))
    answers.push(await stream.push({ data, shape: [96, 96, 3] }))
  }
  const overall = distance(
    goldens.get('stream/logits').values,
    answers.map((answer) => answer.overall.logits.data),
  )
  const recent = distance(
    goldens.get('window8/logits').values,
    answers.map((answer) => answer.logits.data),
  )
  console.log(
    `start of the built-in model: largest error ${overall.toExponential(1)} of the largest ` +
      `logit over all frames, ${recent.toExponential(1)} over the last 8`,
  )
  expect(overall).toBeLessThan(1e-5)
  expect(recent).toBeLessThan(1e-5)
})

test('int8: the same label for 99 of 100 frames at least', { tags: 'slow' }, async () => {
  const whole = await TRecViT.load('builtin', { dtype: 'int8' })
  expect(whole.dtype).toBe('int8')
  let [same, frames] = [0, 0]
  for (const clip of ['tour.mp4', 'short.webm']) {
    const labels = async (model: TRecViT) => {
      const found: (string | null)[] = []
      const video = await openVideo(new URL(`../models/${clip}`, import.meta.url))
      for await (const answer of model.stream({ average: { frames: 8 } }).run(sample(video)))
        found.push(answer.top[0]!.label)
      return found
    }
    const [want, got] = [await labels(model), await labels(whole)]
    same += got.filter((label, index) => label === want[index]).length
    frames += want.length
  }
  await whole.dispose()
  console.log(`built-in model: with int8 ${same} of ${frames} frames have the same label`)
  expect(same / frames).toBeGreaterThanOrEqual(0.99)
})

// A result covers 8 frames, so the first 8 frames after a change are skipped.
describe.each([
  ['tour.mp4', 303],
  ['short.webm', 172],
])('%s', (clip, judged) => {
  test(`${judged} of ${judged} frames have the right label`, { tags: 'slow' }, async () => {
    const truth = truths[clip]!
    const labels: (string | null)[] = []
    const video = await openVideo(new URL(`../models/${clip}`, import.meta.url))
    for await (const answer of model.stream({ average: { frames: 8 } }).run(sample(video)))
      labels.push(answer.top[0]!.label)
    expect(labels.length).toBe(truth.frames)
    const wrong = truth.segments.flatMap(({ label, first, last }) =>
      labels
        .slice(first + 8, last + 1)
        .flatMap((found, index) =>
          found === label ? [] : [`frame ${first + 8 + index}: ${found}, not ${label}`],
        ),
    )
    const count = truth.segments.reduce((sum, { first, last }) => sum + last + 1 - (first + 8), 0)
    expect(wrong).toEqual([])
    expect(count).toBe(judged)
  })
})
