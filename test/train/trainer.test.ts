/** Whole runs of the optimiser, against the golden data. */
import { describe, expect, test } from 'vitest'
import { cpuCapabilities } from '../../src/backend/wasm/capabilities.ts'
import type { Config } from '../../src/model/config.ts'
import { initialise } from '../../src/train/initialise.ts'
import type { TrainerOptions } from '../../src/train/options.ts'
import { Trainer } from '../../src/train/trainer.ts'
import { tagsOfModel } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { trainingBackends, trainingTeam } from './backends.ts'
import { goldenConfig, goldenParameters } from './models.ts'

/** The recipe of both runs. */
const recipe = {
  schedule: { peak: 1e-3, warmup: 3, steps: 12 },
  weightDecay: 0.03,
} satisfies TrainerOptions

const isHead = (name: string) => name.startsWith('decoder/')

/** Batch k of a golden run. */
function batchOf(goldens: Goldens, k: number) {
  const { shape, values } = goldens.get(`batch_${k % 3}/video`)
  const labels = goldens.get(`batch_${k % 3}/labels`).values
  return { frames: { data: Uint8Array.from(values), shape }, targets: Array.from(labels) }
}

/** Clips of noise. */
function noiseBatch({ imageSize: [height, width] }: Config, b: number) {
  const shape = [b, 2, height, width, 3]
  const data = Uint8Array.from({ length: b * 2 * height * width * 3 }, (_, i) => (i * i * 7) % 251)
  return { frames: { data, shape } }
}

describe.each([...trainingBackends, trainingTeam])('$name', (backend) => {
  test.each([
    ['tok', 'train_steps.npz', {}],
    ['gap', 'readout_steps.npz', { trains: isHead }],
  ] as const)(
    'twelve updates of "%s" in %s',
    { tags: tagsOfModel(backend) },
    async (name, file, more) => {
      const goldens = await Goldens.open(file)
      const start = await goldenParameters(name)
      await using trainer = await Trainer.create(goldenConfig(name), start, {
        ...{ ...recipe, ...more },
        open: backend.create,
      })
      const steps = []
      for (let k = 0; k < 12; k++) steps.push(await trainer.step(batchOf(goldens, k)))
      goldens.expect(
        'loss',
        Float32Array.from(steps, ({ loss }) => loss),
      )
      goldens.expect(
        'lr',
        Float32Array.from(steps, ({ learningRate }) => learningRate),
      )
      goldens.expect(
        'grad_norm',
        Float32Array.from(steps, ({ gradientNorm }) => gradientNorm),
      )
      for (const [parameter, values] of await trainer.parameters())
        if (name === 'tok' || isHead(parameter)) goldens.expect(`final/${parameter}`, values)
        else expect(values, parameter).toEqual(start.get(parameter))
      expect(goldens.unseen).toEqual([])
    },
  )
})

describe('a trainer', () => {
  const config = goldenConfig('gap')
  const trainer = (options: Partial<TrainerOptions> = {}) =>
    Trainer.create(config, initialise(config, 1), {
      ...recipe,
      open: trainingBackends[0]!.create,
      ...options,
    })

  test('of the head gives the same result from features as from frames', async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    const { frames, targets } = batchOf(goldens, 0)
    await using one = await trainer({ trains: isHead })
    await using other = await trainer({ trains: isHead })
    const features = await one.features(frames)
    for (let k = 0; k < 3; k++)
      expect(await one.step({ features, targets })).toEqual(await other.step({ frames, targets }))
    expect(await one.parameters()).toEqual(await other.parameters())
    expect(await one.classify({ features })).toEqual(await other.classify({ frames }))
  })

  test('that was saved and continued gives the bits of one that was not', {
    tags: 'slow',
  }, async () => {
    const goldens = await Goldens.open('train_steps.npz')
    const tok = goldenConfig('tok')
    const open = () =>
      Trainer.create(tok, initialise(tok, 1), { ...recipe, open: trainingBackends[0]!.create })
    await using unbroken = await open()
    await using first = await open()
    for (let k = 0; k < 2; k++) await first.step(batchOf(goldens, k))
    await using second = await Trainer.resume(await first.save(), {
      ...recipe,
      open: trainingBackends[0]!.create,
    })
    expect(second.steps).toBe(2)
    for (let k = 2; k < 4; k++) await second.step(batchOf(goldens, k))
    for (let k = 0; k < 4; k++) await unbroken.step(batchOf(goldens, k))
    expect(await second.parameters()).toEqual(await unbroken.parameters())
    expect(await second.save()).toEqual(await unbroken.save())
    await expect(
      Trainer.resume(await first.save(), {
        ...{ ...recipe, trains: isHead },
        open: trainingBackends[0]!.create,
      }),
    ).rejects.toThrow('"trains" expected the parameters that the saved trainer trained')
  })

  test('makes calls that overlap one after the other', { tags: 'slow' }, async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    await using one = await trainer()
    await using other = await trainer()
    const first = await one.step(batchOf(goldens, 0))
    const saved = await one.save()
    const second = await one.step(batchOf(goldens, 1))
    const overlapping = await Promise.all([
      other.step(batchOf(goldens, 0)),
      other.save(),
      other.step(batchOf(goldens, 1)),
    ])
    expect([overlapping[0], overlapping[2]]).toEqual([first, second])
    // Not by toEqual, which takes minutes to describe how so many bytes differ.
    const isSame = (a: Uint8Array, b: Uint8Array) =>
      a.length === b.length && a.every((byte, index) => byte === b[index])
    expect(isSame(overlapping[1], saved)).toBe(true)
    expect(isSame(await other.save(), await one.save())).toBe(true)
  })

  test('finishes the calls before its end, and refuses those after it', async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    const one = await trainer()
    const step = one.step(batchOf(goldens, 0))
    const ends = [one.dispose(), one.dispose()]
    const sentence = 'The trainer was disposed of; make another one'
    await expect(one.step(batchOf(goldens, 1))).rejects.toThrow(sentence)
    await expect(one.classify(batchOf(goldens, 0))).rejects.toThrow(sentence)
    await expect(one.save()).rejects.toThrow(sentence)
    expect((await step).step).toBe(1)
    await Promise.all(ends)
    await expect(one.parameters()).rejects.toThrow(sentence)
  })

  test('refuses runs without samples', async () => {
    await using one = await trainer()
    await expect(one.evaluate([])).rejects.toThrow(
      '"samples" expected an integer, at least 1, got 0',
    )
    await expect(one.fit([], { epochs: 1 }).next()).rejects.toThrow('"samples" expected')
  })

  test('that computes blocks again gives the same bits', { tags: 'slow' }, async () => {
    const goldens = await Goldens.open('train_steps.npz')
    const mlp = goldenConfig('mlp')
    const tok = goldenConfig('tok')
    for (const [config, batch] of [
      [tok, batchOf(goldens, 0)],
      [mlp, { ...noiseBatch(mlp, 2), targets: [1, 3] }],
    ] as const) {
      const parameters = []
      for (const recompute of ['none', 'layer'] as const) {
        await using one = await Trainer.create(config, initialise(config, 1), {
          ...{ ...recipe, recompute },
          open: trainingBackends[0]!.create,
        })
        for (let k = 0; k < 3; k++) await one.step(batch)
        parameters.push(await one.parameters())
      }
      expect(parameters[1]).toEqual(parameters[0])
    }
  })

  test('learns classes of samples; the result is a model', { tags: 'slow' }, async () => {
    const grey = (value: number) => ({
      clip: { data: new Uint8Array(3 * 16 * 40 * 3).fill(value), shape: [3, 16, 40, 3] },
      label: Math.floor(value / 100),
    })
    const samples = [20, 40, 120, 140, 220, 240].map(grey)
    await using learner = await trainer({ schedule: { peak: 5e-3, warmup: 3, steps: 60 } })
    const progress = []
    for await (const step of learner.fit(samples, { epochs: 20, batch: 2 })) progress.push(step)
    expect(progress.map(({ step, epoch }) => [step, epoch]).slice(0, 4)).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 2],
    ])
    expect(progress.at(-1)).toMatchObject({ step: 60, epoch: 20, accuracy: 1 })
    const { count, top1, top5, confusion } = await learner.evaluate(samples)
    expect({ count, top1, top5 }).toEqual({ count: 6, top1: 1, top5: 1 })
    expect(confusion.map((row) => row.slice(0, 3)).slice(0, 3)).toEqual([
      [2, 0, 0],
      [0, 2, 0],
      [0, 0, 2],
    ])
    await using model = await learner.model({
      device: 'wasm',
      config: { imageSize: config.imageSize, framesPerClip: 3 },
    })
    const logits = await learner.classify({
      frames: { ...samples[2]!.clip, shape: [1, 3, 16, 40, 3] },
    })
    const answer = await model.forward(samples[2]!.clip)
    answer.logits.data.forEach((value, i) => expect(value).toBeCloseTo(logits.data[i]!, 4))
  })

  test('makes one step for each batch of clips of different lengths', {
    tags: 'slow',
  }, async () => {
    const samples = [2, 3, 2, 3, 1].map((t, label) => ({
      clip: { data: new Uint8Array(t * 16 * 40 * 3).fill(50 * label), shape: [t, 16, 40, 3] },
      label,
    }))
    await using learner = await trainer({ schedule: { peak: 1e-3, warmup: 1, steps: 6 } })
    const rates = []
    for await (const { learningRate } of learner.fit(samples, { epochs: 2, batch: 2 }))
      rates.push(learningRate)
    expect(rates).toHaveLength(6)
    // No step is made at the end of the schedule, where the rate is 0.
    expect(rates.slice(1).every((rate) => rate > 0)).toBe(true)
    expect((await learner.evaluate(samples, { batch: 2 })).count).toBe(5)
  })

  test('takes a faster build if it need not be deterministic', { tags: 'slow' }, async () => {
    const { fuses, revectorizes } = cpuCapabilities()
    const goldens = await Goldens.open('readout_steps.npz')
    const losses = []
    for (const [options, kernels] of [
      [{}, 'simd'],
      [{ deterministic: false }, fuses ? 'relaxed' : 'simd'],
      [{ experimentalRevectorize: true }, revectorizes ? 'wide' : 'simd'],
    ] as const) {
      await using one = await Trainer.create(config, initialise(config, 1), {
        ...{ ...recipe, ...options, threads: 1 },
      })
      expect(one.device).toMatchObject({ backend: 'wasm', kernels, threads: 1 })
      losses.push((await one.step(batchOf(goldens, 0))).loss)
    }
    expect(losses[1]).toBeCloseTo(losses[0]!, 5)
    expect(losses[2]).toBe(losses[0])
  })

  test('refuses features if more than the head is trained', async () => {
    await using all = await trainer()
    const features = { data: new Float32Array(config.width), shape: [1, 1, config.width] }
    await expect(all.step({ features, targets: [0] })).rejects.toThrow(
      '"features" expected a trainer of the head alone; give "frames"',
    )
  })

  test('stops at a loss that is not finite, and keeps the weights', async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    const { frames } = batchOf(goldens, 0)
    await using all = await trainer()
    const before = await all.parameters()
    const data = new Float32Array(3 * config.numClasses).fill(Infinity)
    await expect(
      all.step({ frames, targets: { data, shape: [3, config.numClasses] } }),
    ).rejects.toThrow('Step 1 expected a finite loss and gradient')
    expect(await all.parameters()).toEqual(before)
    expect(all.steps).toBe(0)
  })

  test.each([
    [{ labelSmoothing: 1 }, '"labelSmoothing" expected a number from 0 to below 1, got 1'],
    [{ beta1: 1 }, '"beta1" expected a number from 0 to below 1, got 1'],
    [{ trains: () => false }, '"trains" expected at least one parameter to train, got none'],
    [{ weightdecay: 1 } as object, 'weightDecay'],
    [
      { trains: (name: string) => name.endsWith('/key/kernel') },
      'is one matrix of "encoder/encoderblock_0/MultiHeadDotProductAttention_0/key/kernel" and',
    ],
  ] as [Partial<TrainerOptions>, string][])('refuses %o', async (options, sentence) => {
    await expect(trainer(options)).rejects.toThrow(sentence)
  })

  test('refuses frames and targets that do not fit', async () => {
    await using all = await trainer()
    const frames = { data: new Uint8Array(16 * 40 * 3), shape: [1, 1, 16, 40, 3] }
    await expect(
      all.step({ frames: { ...frames, shape: [1, 16, 40, 3] }, targets: [0] }),
    ).rejects.toThrow('"frames" expected bytes of shape [b,t,16,40,3], got Uint8Array [1,16,40,3]')
    await expect(all.step({ frames, targets: [7] })).rejects.toThrow(
      '"targets" expected classes from 0 to 6, got 7',
    )
    await expect(all.step({ frames, targets: [0, 1] })).rejects.toThrow(
      '"targets" expected 1 classes, got 2',
    )
  })
})
