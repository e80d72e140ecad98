/** Truncated back-propagation through time, against the golden data. */
import { describe, expect, test } from 'vitest'
import { encoderOf } from '../../src/model/config.ts'
import { parametersOf, weightTable } from '../../src/model/weights.ts'
import { sizeOf } from '../../src/program/program.ts'
import { type Carried, joinVideos, splitVideos } from '../../src/train/carried.ts'
import { TrainingDevice } from '../../src/train/device.ts'
import { initialise } from '../../src/train/initialise.ts'
import type { TrainerOptions } from '../../src/train/options.ts'
import { recordClassifierStep } from '../../src/train/program.ts'
import { Trainer } from '../../src/train/trainer.ts'
import {
  deviceWeights,
  splitWeight,
  type Training,
  trainingWeights,
  writeParameters,
} from '../../src/train/weights.ts'
import { tagsOf } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { goldenConfig, goldenParameters } from './models.ts'

const config = goldenConfig('tok')
const { numClasses: c } = config
const goldens = await Goldens.open('bptt.npz')
const { shape, values } = goldens.get('video')
const [b = 0, frames = 0, ...size] = shape

/** Returns frames [from, to) of some of the videos. */
function chunk(from: number, to: number, videos: readonly number[] = [0, 1]) {
  const frame = sizeOf(size)
  const data = videos.flatMap((video) =>
    Array.from(values.subarray((video * frames + from) * frame, (video * frames + to) * frame)),
  )
  return { data: Uint8Array.from(data), shape: [videos.length, to - from, ...size] }
}

/** Returns the axes of the states of conv1d as in the golden data: [b, n, k−1, e]. */
function transposed(past: Float32Array): Float32Array {
  const [n, history, e] = [10, 3, 36]
  return past.map((_, at) => {
    const channel = at % e
    const frame = Math.floor(at / e) % history
    const token = Math.floor(at / (e * history)) % n
    const video = Math.floor(at / (e * history * n))
    return past[((video * history + frame) * n + token) * e + channel]!
  })
}

describe.each([...trainingBackends, trainingTeam])('$name', (backend) => {
  // A GPU takes seconds to compile the programs of an encoder.
  const tags = [...tagsOf(backend), ...(backend.name.startsWith('webgpu') ? ['slow'] : [])]

  test.each(['none', 'layer'] as const)(
    'gradients of a second chunk, recompute "%s"',
    { tags },
    async (recompute) => {
      const goldens = await Goldens.open('bptt.npz')
      const weights = trainingWeights(encoderOf(config), parametersOf(config), weightTable(config))
      const training: Training = { weights, trained: weights.copied, recompute }
      const parameters = await goldenParameters('tok')
      const device = new TrainingDevice(await backend.create(deviceWeights(training)))
      writeParameters(device.backend, [...weights.copied, ...weights.derived], parameters)
      const targets = new Float32Array(b * c).fill(0.1 / c / b)
      goldens.get('labels').values.forEach((label, video) => {
        targets[video * c + label]! += 0.9 / b
      })
      const run = (from: number, before: Carried | null) => {
        const size = { b, t: 3, continues: before !== null }
        const record = () => recordClassifierStep({ config, ...training }, size, 'pixels', 'return')
        const inputs = { pixels: chunk(from, from + 3).data, targets }
        return device.run({
          ...{ key: `${from}`, record, inputs, wantsStates: true },
          ...(before && { before }),
        })
      }
      const { after } = await run(0, null)
      for (const [name, values] of after!) {
        const layer = name.match(/residualblock_(\d+)/)![1]!.padStart(2, '0')
        if (name.endsWith('/s')) goldens.expect(`state/${layer}/h`, values)
        else goldens.expect(`state/${layer}/conv`, transposed(values))
      }
      const { outputs } = await run(3, after)
      goldens.expect('logits', outputs['logits']!)
      goldens.expect('loss', Float32Array.of(outputs['loss']!.reduce((sum, one) => sum + one)))
      const gradients = new Map(
        parametersOf(config).map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))]),
      )
      for (const weight of weights.copied)
        splitWeight(weight, outputs[`gradients/${weight.name}`]!, gradients)
      for (const [name, values] of gradients) goldens.expect(`grad/${name}`, values)
      // What truncation leaves out.
      expect(goldens.unseen.filter((name) => !/^grad_(full|state)/.test(name))).toEqual([])
      device.backend.dispose()
    },
  )
})

/** A learning rate that changes no weight. */
const still = { schedule: { peak: 1e-30, warmup: 0, steps: 100 }, weightDecay: 0 }

const open = (options: Partial<TrainerOptions> = {}) =>
  Trainer.create(config, initialise(config, 1), {
    ...{ ...still, ...options },
    open: trainingBackends[0]!.create,
  })

test('chunks of any lengths give the mean over the frames of the whole video', {
  tags: 'slow',
}, async () => {
  await using trainer = await open()
  const whole = await trainer.classify({ frames: chunk(0, 6) })
  for (const cuts of [
    [0, 3, 6],
    [0, 1, 2, 6],
    [0, 4, 5, 6],
  ]) {
    const stream = trainer.stream(2)
    const mean = new Float32Array(2 * c)
    for (const [index, to] of cuts.slice(1).entries()) {
      const from = cuts[index]!
      const { logits } = await stream.step({ frames: chunk(from, to), targets: [0, 1] })
      logits.data.forEach((value, at) => (mean[at]! += (value * (to - from)) / 6))
    }
    // The head is linear in the mean over frames.
    mean.forEach((value, at) => expect(value).toBeCloseTo(whole.data[at]!, 5))
  }
  const stream = trainer.stream(2)
  await stream.step({ frames: chunk(0, 3), targets: [0, 1] })
  const continued = await stream.step({ frames: chunk(3, 6), targets: [0, 1] })
  stream.reset()
  const anew = await stream.step({ frames: chunk(3, 6), targets: [0, 1] })
  expect(Math.abs(continued.loss - anew.loss)).toBeGreaterThan(1e-3)
})

test('a reset of one video leaves the other as it is', { tags: 'slow' }, async () => {
  await using trainer = await open()
  const both = trainer.stream(2)
  await both.step({ frames: chunk(0, 3), targets: [0, 1] })
  both.reset(1)
  const { logits, loss } = await both.step({ frames: chunk(3, 6), targets: [0, 1] })
  const one = trainer.stream()
  await one.step({ frames: chunk(0, 3, [0]), targets: [0] })
  const first = await one.step({ frames: chunk(3, 6, [0]), targets: [0] })
  const second = await trainer.step({ frames: chunk(3, 6, [1]), targets: [1] })
  expect([...logits.data]).toEqual([...first.logits.data, ...second.logits.data])
  expect(loss).toBeCloseTo((first.loss + second.loss) / 2, 6)
  // The states of both live on.
  const next = await both.step({ frames: chunk(0, 1), targets: [0, 1] })
  const alone = await one.step({ frames: chunk(0, 1, [0]), targets: [0] })
  expect(next.logits.data.subarray(0, c)).toEqual(alone.logits.data)
})

test('a failed step keeps the states', async () => {
  await using trainer = await open()
  const stream = trainer.stream(2)
  const frames = chunk(0, 3)
  await stream.step({ frames, targets: [0, 1] })
  const data = new Float32Array(2 * c).fill(NaN)
  await expect(stream.step({ frames, targets: { data, shape: [2, c] } })).rejects.toThrow('Step 2')
  const other = trainer.stream(2)
  await other.step({ frames, targets: [0, 1] })
  const targets = [1, 2]
  const { logits } = await other.step({ frames: chunk(3, 6), targets })
  expect((await stream.step({ frames: chunk(3, 6), targets })).logits).toEqual(logits)
})

test('refuses other numbers of videos', async () => {
  await using trainer = await open()
  expect(() => trainer.stream(0)).toThrow('"b" expected an integer, at least 1, got 0')
  expect(() => trainer.stream(2).reset(2)).toThrow('"video" expected an integer from 0 to 1, got 2')
  await expect(trainer.stream(3).step({ frames: chunk(0, 3), targets: [0, 1] })).rejects.toThrow(
    '"frames" expected a chunk of 3 videos, got 2',
  )
})

test('states of videos are joined and split', () => {
  const states = [1, 2].map((value) => new Map([['s', new Float32Array(3).fill(value)]]))
  const joined = joinVideos(states)
  expect(joined.get('s')).toEqual(Float32Array.of(1, 1, 1, 2, 2, 2))
  expect(splitVideos(joined, 2)).toEqual(states)
})
