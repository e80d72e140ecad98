/** Whole runs of the optimiser, against the golden data. */
import { describe, expect, test } from 'vitest'
import { initialise } from '../../src/train/initialise.ts'
import type { TrainerOptions } from '../../src/train/options.ts'
import { Trainer } from '../../src/train/trainer.ts'
import { tagsOf } from '../backends.ts'
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

describe.each([...trainingBackends, trainingTeam])('$name', (backend) => {
  test.each([
    ['tok', 'train_steps.npz', {}],
    ['gap', 'readout_steps.npz', { trains: isHead }],
  ] as const)(
    'twelve updates of "%s" in %s',
    { tags: tagsOf(backend) },
    async (name, file, more) => {
      const goldens = await Goldens.open(file)
      const start = await goldenParameters(name)
      using trainer = await Trainer.create(goldenConfig(name), start, {
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

  test('of the head learns from features what it learns from frames', async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    const { frames, targets } = batchOf(goldens, 0)
    using one = await trainer({ trains: isHead })
    using other = await trainer({ trains: isHead })
    const features = await one.features(frames)
    for (let k = 0; k < 3; k++)
      expect(await one.step({ features, targets })).toEqual(await other.step({ frames, targets }))
    expect(await one.parameters()).toEqual(await other.parameters())
    expect(await one.classify({ features })).toEqual(await other.classify({ frames }))
  })

  test('refuses features if more than the head is trained', async () => {
    using all = await trainer()
    const features = { data: new Float32Array(config.width), shape: [1, 1, config.width] }
    await expect(all.step({ features, targets: [0] })).rejects.toThrow(
      '"features" expected a trainer of the head alone; give "frames"',
    )
  })

  test('stops at a loss that is not finite, and keeps the weights', async () => {
    const goldens = await Goldens.open('readout_steps.npz')
    const { frames } = batchOf(goldens, 0)
    using all = await trainer()
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
    using all = await trainer()
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
