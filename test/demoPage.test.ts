/** Parts of the demo page that need no browser. */
import type { Class } from 'trecvit'
import { expect, test } from 'vitest'
import { codeOf } from '../examples/demo/code.ts'
import { checkpointOfOneLayer } from '../examples/demo/estimate.ts'
import { whatItNames } from '../examples/demo/names.ts'
import { Track } from '../examples/demo/track.ts'
import { configOf, TRecViT } from '../src/index.ts'

const settings = { device: 'auto', dtype: '', threads: 0, deterministic: false } as const
const builtin = { kind: 'builtin', name: null } as const

test('the estimate is measured on a layer of TRecViT-B', { tags: 'slow' }, async () => {
  const model = await TRecViT.load(checkpointOfOneLayer(), { device: 'wasm', threads: 1 })
  const { depth, ...rest } = model.config
  await model.dispose()
  const { depth: layers, ...wanted } = configOf('B')
  expect([depth, layers]).toEqual([1, 12])
  expect(rest).toEqual({ ...wanted, numClasses: 400 })
})

test.each([
  [
    { kind: 'file', name: 'a.npz', labels: null, classes: 7 },
    /^a\.npz has 7 classes without names\./,
  ],
  [
    { kind: 'file', name: 'a.npz', labels: ['x', 'y'], classes: 2 },
    /^a\.npz names 2 classes: x, y\.$/,
  ],
  [
    { kind: 'file', name: 'a.npz', labels: ['x', 'y', 'z', 'w'], classes: 4 },
    /: x, y, z and 1 more\.$/,
  ],
  [{ kind: 'file', name: 'mae.npz', labels: null, classes: 0 }, /has no classes, only features/],
  [
    { kind: 'kinetics', name: 'Kinetics-400', labels: ['abseiling', 'zumba'], classes: 2 },
    /^This model names 2 actions, from abseiling to zumba\.$/,
  ],
] as const)('what a model names: %o', (model, sentence) => {
  expect(whatItNames(model)).toMatch(sentence)
})

test('the code has the options that differ from the defaults', () => {
  expect(codeOf({ source: 'sample', model: builtin, settings, rate: 0 })).toContain(
    "TRecViT.load('builtin')\n",
  )
  const own = codeOf({
    source: 'file',
    model: { kind: 'file', name: "it's.npz" },
    settings: { device: 'wasm', dtype: 'int8', threads: 2, deterministic: true },
    rate: 5,
  })
  expect(own).toContain(
    "TRecViT.load(new URL('it\\'s.npz', location.href), " +
      "{ device: 'wasm', dtype: 'int8', threads: 2, deterministic: true })",
  )
  expect(own).toContain('sample(video, { fps: 5 })')
  const model = { kind: 'kinetics', name: 'Kinetics-400' } as const
  const live = codeOf({ source: 'camera', model, settings, rate: 0 })
  expect(live).toContain("TRecViT.load('k400')")
  expect(live).toContain('await camera()\n')
  const screen = codeOf({ source: 'screen', model, settings, rate: 5 })
  expect(screen).toContain("import { screenCapture } from 'trecvit/video'\n")
  expect(screen).toContain('await screenCapture({ video: { frameRate: 5 } })\n')
})

const sure = (label: string, prob = 1): Class[] => [{ label, index: 0, prob }]

test('points in the order of time, whatever the order in which they come', () => {
  const track = new Track()
  for (const time of [0, 1, 2, 3]) track.add(time, sure(time < 2 ? 'a' : 'b'))
  track.add(1.0004, sure('a', 0.5))
  track.add(0.5, sure('a'))
  expect(track.times).toEqual([0, 0.5, 1.0004, 2, 3])
  expect(track.segments(4)).toEqual([
    { from: 0, to: 2, label: 'a', prob: 2.5 / 3 },
    { from: 2, to: 4, label: 'b', prob: 1 },
  ])
})

test('a point without an answer is no segment, and takes no answer away', () => {
  const track = new Track()
  track.add(0, null)
  track.add(1, sure('a'))
  track.add(1, null)
  expect(track.segments(2)).toEqual([{ from: 1, to: 2, label: 'a', prob: 1 }])
})

test('long videos keep every second point', () => {
  const track = new Track()
  for (let i = 0; i <= 4000; i++) track.add(i, sure('a'))
  expect(track.times.length).toBe(2001)
  expect(track.times.slice(0, 3)).toEqual([0, 2, 4])
})
