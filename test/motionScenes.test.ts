import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { LABELS, type Label } from '../examples/motion/camera.ts'
import { startWithFilters } from '../examples/motion/filters.ts'
import { StreamLearner } from '../examples/motion/learner.ts'
import { showsClearly } from '../examples/motion/sensor.ts'
import { SMALL } from '../examples/motion/small.ts'
import { type Stream, StreamSource } from '../examples/motion/stream.ts'
import { initialise } from '../src/train/index.ts'

test('a seed gives the same streams everywhere', { tags: 'slow' }, () => {
  const hash = createHash('sha256')
  const source = new StreamSource(1, { perScene: 2 })
  for (let i = 0; i < 4; i++) {
    const { frames, labels, ages } = source.draw(i === 0 ? 48 : 4)
    hash.update(frames).update(labels).update(ages)
  }
  expect(hash.digest('hex')).toBe(
    '55d458ed8bf8b109bf71557027d2fc76817f3955a8af6a1d43d887d23df2c171',
  )
  expect(new StreamSource(2).draw(1).frames).not.toEqual(new StreamSource(1).draw(1).frames)
})

test('a stream says for each frame which move is made, and since when', () => {
  const { labels, ages } = new StreamSource(3, { view: 48 }).draw(120)
  expect([labels[0], ages[0]]).toEqual([labels[1], 0])
  let changes = 0
  for (let i = 1; i < labels.length; i++) {
    const changed = ages[i] === 0
    changes += +changed
    expect(labels[i] !== labels[i - 1]).toBe(changed)
    if (!changed) expect(ages[i]).toBe(ages[i - 1]! + 1)
  }
  expect(changes).toBeGreaterThan(2)
})

const VIEW = 48

/**
 * Returns how far the content of a square moves from the first frame to the last, in pixels to
 * the right and down: the shift with the least difference.
 */
function shiftAt({ frames, labels }: Stream, x: number, y: number): readonly [number, number] {
  const side = 16
  const value = (frame: number, column: number, row: number) =>
    frames[3 * ((frame * VIEW + row) * VIEW + column) + 1]!
  let best = { sum: Number.POSITIVE_INFINITY, shift: [0, 0] as readonly [number, number] }
  for (let dy = -5; dy <= 5; dy++)
    for (let dx = -5; dx <= 5; dx++) {
      let sum = 0
      for (let row = y; row < y + side; row++)
        for (let column = x; column < x + side; column++)
          sum += Math.abs(value(labels.length - 1, column + dx, row + dy) - value(0, column, row))
      if (sum < best.sum) best = { sum, shift: [dx, dy] }
    }
  return best.shift
}

// Where the content moves as the label says: at the left, right, top and bottom of the view.
test.each<[Label, readonly (readonly [x: number, y: number, right: number, down: number])[]]>([
  ['pan left', [[16, 16, 1, 0]]],
  ['pan right', [[16, 16, -1, 0]]],
  ['tilt up', [[16, 16, 0, 1]]],
  ['tilt down', [[16, 16, 0, -1]]],
  [
    'zoom in',
    [
      [5, 16, -1, 0],
      [27, 16, 1, 0],
      [16, 5, 0, -1],
      [16, 27, 0, 1],
    ],
  ],
  [
    'zoom out',
    [
      [5, 16, 1, 0],
      [27, 16, -1, 0],
      [16, 5, 0, 1],
      [16, 27, 0, -1],
    ],
  ],
  [
    'roll clockwise',
    [
      [16, 5, -1, 0],
      [16, 27, 1, 0],
      [5, 16, 0, 1],
      [27, 16, 0, -1],
    ],
  ],
  [
    'roll counterclockwise',
    [
      [16, 5, 1, 0],
      [16, 27, -1, 0],
      [5, 16, 0, -1],
      [27, 16, 0, 1],
    ],
  ],
])('%s: the content of the view moves accordingly', (label, places) => {
  const source = new StreamSource(5, { view: VIEW, perScene: 3, plain: true })
  let [along, against] = [0, 0]
  for (let i = 0; i < 9; i++) {
    const stream = source.draw(places.length > 1 ? 6 : 3, LABELS.indexOf(label))
    for (const [x, y, right, down] of places) {
      const [dx, dy] = shiftAt(stream, x, y)
      const way = Math.sign(dx * right + dy * down)
      along += +(way > 0)
      against += +(way < 0)
    }
  }
  expect(along).toBeGreaterThan(2 * places.length)
  expect(against).toBeLessThan(along / 4)
})

test('static: nothing moves; shake: the content returns', { tags: 'slow' }, () => {
  const source = new StreamSource(6, { view: VIEW, perScene: 4, plain: true })
  for (let i = 0; i < 6; i++) {
    expect(shiftAt(source.draw(3, 0), 16, 16)).toEqual([0, 0])
  }
  const shifts = Array.from({ length: 16 }, () => shiftAt(source.draw(3, 9), 16, 16)[0])
  expect(Math.abs(shifts.reduce((a, b) => a + b, 0))).toBeLessThan(16)
})

test('a clear picture has edges in both directions nearly everywhere', () => {
  const picture = (value: (x: number, y: number) => number) =>
    Uint8Array.from({ length: 3 * VIEW * VIEW }, (_, i) =>
      value(Math.floor(i / 3) % VIEW, Math.floor(i / 3 / VIEW)),
    )
  const squares = (x: number, y: number) => 40 * (((x >> 2) + (y >> 2)) % 2)
  const stripes = picture((x) => squares(x, 0))
  const halfEmpty = picture((x, y) => (x < VIEW / 2 ? squares(x, y) : 0))
  expect(showsClearly(picture(squares), VIEW)).toBe(true)
  expect(showsClearly(stripes, VIEW)).toBe(false)
  expect(showsClearly(halfEmpty, VIEW)).toBe(false)
  const source = new StreamSource(7, { view: VIEW, perScene: 8, scenes: 2, plain: true })
  for (let i = 0; i < 20; i++) expect(showsClearly(source.draw(1).frames, VIEW)).toBe(true)
})

test('what shows one colour is static', { tags: 'slow' }, () => {
  const source = new StreamSource(9, { view: 32, perScene: 60 })
  const isOneColour = ({ frames }: Stream) => frames.every((value, i) => value === frames[i % 3])
  const blank = Array.from({ length: 240 }, () => source.draw(4)).filter(isOneColour)
  expect(blank.length).toBeGreaterThan(0)
  for (const { labels, ages } of blank) {
    expect([...labels]).toEqual([0, 0, 0, 0])
    expect([...ages]).toEqual([0, 1, 2, 3])
  }
})

test('the loss of a model falls while it learns from streams', { tags: 'slow' }, async () => {
  const start = startWithFilters(initialise(SMALL, 1), SMALL, 1)
  const schedule = { peak: 3e-3, warmup: 2, steps: 20 }
  const learner = await StreamLearner.create(SMALL, start, { schedule, threads: 1 })
  const source = new StreamSource(1, { view: 48, perScene: 8, plain: true })
  const streams = Array.from({ length: 4 }, () => source.draw(16))
  const losses: number[] = []
  for (let i = 0; i < 10; i++) losses.push((await learner.step(streams)).loss)
  await learner.dispose()
  expect(losses[0]).toBeGreaterThan(1.8)
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.5)
})
