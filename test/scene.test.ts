/** The sample clip of the demo (examples/scene), and how the built-in model classifies it. */
import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { poses, segments } from '../examples/scene/moves.mjs'
import { takePicture } from '../examples/scene/picture.mjs'
import { TRecViT } from '../src/index.ts'
import { openVideo, sample } from '../src/video/index.ts'

const clip = new URL('../models/lake.mp4', import.meta.url)

/** Number of frames to skip after a change: a result covers 8 frames. */
const WINDOW = 8

test('each movement is named in all its frames, and the clip is small', {
  tags: 'slow',
}, async () => {
  const model = await TRecViT.load('builtin')
  const found: (string | null)[] = []
  const video = await openVideo(clip)
  for await (const { top } of model.stream({ average: { frames: WINDOW } }).run(sample(video)))
    found.push(top[0]!.label)
  await model.dispose()
  expect(found.length).toBe(poses.length)
  expect(new Set(segments.map(({ label }) => label))).toEqual(new Set(model.labels))
  const wrong = segments.flatMap(({ label, first, last }) =>
    found
      .slice(first + WINDOW, last + 1)
      .flatMap((name, index) =>
        name === label ? [] : [`frame ${first + WINDOW + index}: ${name}, not ${label}`],
      ),
  )
  expect(wrong).toEqual([])
  expect(statSync(clip).size).toBeLessThan(400_000)
})

/** A panorama with a dark left half and a dark lower half: red is 255 right, green 255 above. */
function quarters(): { data: Uint8Array; width: number; height: number } {
  const [width, height] = [400, 264]
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      data.set([x < width / 2 ? 0 : 255, y < height / 2 ? 255 : 0, 0], 3 * (y * width + x))
  return { data, width, height }
}

test.each([
  ['pan right', { pan: 5 }, 255, null],
  ['pan left', { pan: -5 }, 0, null],
  ['tilt up', { tilt: 5 }, null, 255],
  ['tilt down', { tilt: -5 }, null, 0],
])('%s moves the view that way', (_, pose, red, green) => {
  const picture = takePicture(quarters(), { pan: 0, tilt: 0, roll: 0, view: 40, ...pose }, 9, 9)
  const middle = picture.subarray(3 * 40, 3 * 40 + 2)
  if (red !== null) expect(middle[0]).toBe(red)
  if (green !== null) expect(middle[1]).toBe(green)
})

test('a roll clockwise turns what is seen counterclockwise', () => {
  const picture = takePicture(quarters(), { pan: 0, tilt: 0, roll: 30, view: 40 }, 9, 9)
  // The upper end of the boundary between left and right moves left, so the right half is visible
  // there.
  expect(picture[3 * 4]).toBe(255)
  expect(picture[3 * (8 * 9 + 4)]).toBe(0)
})
