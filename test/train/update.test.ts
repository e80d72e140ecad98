/** Updates with micro-batches, averages of weights, and steps that fail. */
import { describe, expect, test } from 'vitest'
import { initialise } from '../../src/train/initialise.ts'
import { initialiseMasked } from '../../src/train/maskedModel.ts'
import { MaskedTrainer } from '../../src/train/maskedTrainer.ts'
import type { TrainerOptions } from '../../src/train/options.ts'
import { Trainer } from '../../src/train/trainer.ts'
import type { Parameters } from '../../src/train/weights.ts'
import { tagsOf } from '../backends.ts'
import { trainingBackends } from './backends.ts'
import { goldenConfig, goldenMasked } from './models.ts'

const config = goldenConfig('patch16')
const [height, width] = config.imageSize
const recipe = { schedule: { peak: 1e-3, warmup: 0, steps: 10 } } satisfies TrainerOptions
const isHead = (name: string) => name.startsWith('decoder/')

/** Clips of noise, each with a class. */
function batch(b: number, t: number, seed = 1) {
  const shape = [b, t, height, width, 3]
  const size = b * t * height * width * 3
  const data = Uint8Array.from({ length: size }, (_, i) => (i * i * 7 * seed + i) % 251)
  return { frames: { data, shape }, targets: Array.from({ length: b }, (_, i) => i) }
}

const open = (
  options: Partial<TrainerOptions> = {},
  parameters: Parameters = initialise(config, 1),
) =>
  Trainer.create(config, parameters, { ...recipe, open: trainingBackends[0]!.create, ...options })

/** Expects the same numbers but for rounding: the learning rate times a small part of a step. */
function expectNear(got: Parameters, want: Parameters) {
  for (const [name, values] of want) {
    // The true gradient is 0, and AdamW makes full steps of its rounding errors.
    if (name.endsWith('/key/bias')) continue
    const difference = values.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - got.get(name)![at]!)),
      0,
    )
    expect(difference, name).toBeLessThan(2e-5)
  }
}

describe.each(trainingBackends)('$name', (backend) => {
  // A GPU takes seconds to compile the programs of an encoder.
  const isGpu = backend.name.startsWith('webgpu')
  const some = isGpu ? { trains: isHead } : {}
  const tags = [...tagsOf(backend), ...(isGpu ? ['slow'] : [])]

  test('micro-batches give the gradient of the whole batch', { tags }, async () => {
    const all = batch(5, 2)
    const results = []
    for (const microBatch of [undefined, 2, 1, 2]) {
      await using trainer = await open({
        ...{ ...some, open: backend.create },
        ...(microBatch && { microBatch }),
      })
      const steps = []
      for (let k = 0; k < 2; k++) steps.push(await trainer.step(all))
      results.push({ steps, parameters: await trainer.parameters() })
    }
    const [whole, ...others] = results
    for (const { steps, parameters } of others) {
      expectNear(parameters, whole!.parameters)
      for (const [k, { loss, gradientNorm, logits }] of steps.entries()) {
        expect(loss).toBeCloseTo(whole!.steps[k]!.loss, 4)
        expect(gradientNorm / whole!.steps[k]!.gradientNorm).toBeCloseTo(1, 5)
        expect(logits.shape).toEqual([5, 10])
        logits.data.forEach((value, at) =>
          expect(value).toBeCloseTo(whole!.steps[k]!.logits.data[at]!, 4),
        )
      }
    }
    // Twice the same.
    expect(others[2]).toEqual(others[0])
  })

  test('averages follow the weights', { tags }, async () => {
    const options = { ...some, open: backend.create }
    await using trainer = await open({ ...options, ema: 0.9 })
    await using plain = await open(options)
    const want = new Map(
      Array.from(initialise(config, 1), ([name, values]) => [name, Float64Array.from(values)]),
    )
    const all = batch(2, 2)
    for (let k = 0; k < 4; k++) {
      await trainer.step(all)
      await plain.step(all)
      for (const [name, values] of await plain.parameters())
        values.forEach(
          (value, at) => (want.get(name)![at]! += 0.1 * (value - want.get(name)![at]!)),
        )
    }
    const averages = await trainer.parameters()
    for (const [name, values] of want)
      values.forEach((value, at) => expect(averages.get(name)![at]).toBeCloseTo(value, 6))
    // Answers are those of a model with the averages.
    await using other = await open(options, averages)
    expect(await trainer.classify(all)).toEqual(await other.classify(all))
    expect(await trainer.classify(all)).not.toEqual(await plain.classify(all))
  })
})

test('batches of different lengths are one update', async () => {
  await using trainer = await open()
  const parts = [batch(1, 2), batch(2, 3)] as const
  const { loss, step, logits } = await trainer.step(parts)
  expect(step).toBe(1)
  expect(logits.shape).toEqual([3, 10])
  const single = []
  for (const part of parts) {
    await using one = await open()
    single.push(await one.step(part))
  }
  expect(loss).toBeCloseTo((single[0]!.loss + 2 * single[1]!.loss) / 3, 5)
  expect([...logits.data]).toEqual(single.flatMap(({ logits }) => [...logits.data]))
  await expect(trainer.step([])).rejects.toThrow('"batches" expected an integer, at least 1, got 0')
})

test('batches of the same length are one batch', async () => {
  const all = batch(3, 2)
  const size = all.frames.data.length / 3
  const some = (from: number, to: number) => ({
    frames: {
      data: all.frames.data.slice(from * size, to * size),
      shape: [to - from, 2, height, width, 3],
    },
    targets: all.targets.slice(from, to),
  })
  await using one = await open()
  await using other = await open()
  await one.step(all)
  await other.step([some(0, 1), some(1, 3)])
  expectNear(await other.parameters(), await one.parameters())
})

test('averages are saved, and a resumed trainer has the bits of an unbroken one', {
  tags: 'slow',
}, async () => {
  const options = { ema: 0.9, trains: isHead }
  await using unbroken = await open(options)
  await using first = await open(options)
  await first.step(batch(2, 2))
  const saved = await first.save()
  const resume = (more: Partial<TrainerOptions>) =>
    Trainer.resume(saved, { ...recipe, open: trainingBackends[0]!.create, ...more })
  await using second = await resume(options)
  // Weights that are functions of averages are computed anew.
  expect(await second.classify(batch(2, 2))).toEqual(await first.classify(batch(2, 2)))
  await second.step(batch(2, 2, 3))
  await unbroken.step(batch(2, 2))
  await unbroken.step(batch(2, 2, 3))
  expect(await second.parameters()).toEqual(await unbroken.parameters())
  expect(Buffer.from(await second.save()).equals(await unbroken.save())).toBe(true)
  await expect(resume({ trains: isHead })).rejects.toThrow(
    '"ema" expected a number, as the saved trainer has averages',
  )
})

test('masked micro-batches give the gradient of the whole batch', { tags: 'slow' }, async () => {
  const { config, decoder } = await goldenMasked()
  const [height, width] = config.imageSize
  const results = []
  for (const microBatch of [3, 2, 1]) {
    await using trainer = await MaskedTrainer.create(
      ...([config, decoder, initialiseMasked(config, decoder, 1)] as const),
      { ...recipe, microBatch, loss: 'hidden', open: trainingBackends[0]!.create },
    )
    const data = Uint8Array.from({ length: 6 * height * width * 3 }, (_, i) => (i * i) % 251)
    const { loss } = await trainer.step({ frames: { data, shape: [3, 2, height, width, 3] } })
    results.push({ loss, parameters: await trainer.parameters() })
  }
  for (const { loss, parameters } of results.slice(1)) {
    expect(loss).toBeCloseTo(results[0]!.loss, 5)
    expectNear(parameters, results[0]!.parameters)
  }
})

describe('a step that is not finite', () => {
  const frames = batch(2, 2)
  const nan = { data: new Float32Array(20).fill(NaN), shape: [2, 10] }

  test.each([
    [{}, [{ frames: frames.frames, targets: nan }]],
    [{ microBatch: 1 }, [{ frames: frames.frames, targets: nan }]],
    [{ ema: 0.5 }, [{ frames: frames.frames, targets: nan }]],
  ])('names the input, and changes nothing, with %o', async (options, wrong) => {
    await using trainer = await open(options)
    await trainer.step(frames)
    const saved = Buffer.from(await trainer.save())
    await expect(trainer.step(wrong)).rejects.toThrow(
      'Step 2 expected a finite loss and gradient, got loss NaN and gradient norm NaN; the first ' +
        'tensor that is not finite is "targets"; the weights are unchanged',
    )
    expect(saved.equals(await trainer.save())).toBe(true)
    expect((await trainer.step(frames)).step).toBe(2)
  })

  test('names the first tensor of the program', async () => {
    const parameters = initialise(config, 1)
    parameters.get('encoder/residualblock_00/recurrent_block/linear_out/kernel')![0] = NaN
    await using trainer = await open({}, parameters)
    await expect(trainer.step(frames)).rejects.toThrow(
      'the first tensor that is not finite is "encoder/residualblock_00/',
    )
  })

  test('keeps the weights if only the loss overflows', { tags: 'slow' }, async () => {
    const { config, decoder } = await goldenMasked()
    const [height, width] = config.imageSize
    const parameters = initialiseMasked(config, decoder, 1)
    parameters.get('mae_decoder/pixels/bias')!.fill(1e25)
    await using trainer = await MaskedTrainer.create(config, decoder, parameters, {
      ...{ ...recipe, open: trainingBackends[0]!.create },
    })
    const data = new Uint8Array(2 * height * width * 3)
    await expect(
      trainer.step({ frames: { data, shape: [1, 2, height, width, 3] } }),
    ).rejects.toThrow(/got loss Infinity and gradient norm \d.*is "loss\/loss"/)
    expect(await trainer.parameters()).toEqual(parameters)
  })
})

test.each([
  [{ microBatch: 0 }, '"microBatch" expected an integer, at least 1, got 0'],
  [{ ema: 1 }, '"ema" expected a number from 0 to below 1, got 1'],
])('refuses %o', async (options, sentence) => {
  await expect(open(options)).rejects.toThrow(sentence)
})
