/** Masked auto-encoding, against the golden data. */
import { describe, expect, test } from 'vitest'
import { encoderOf } from '../../src/model/config.ts'
import { TRecViT } from '../../src/model/trecvit.ts'
import { weightTable } from '../../src/model/weights.ts'
import { sizeOf } from '../../src/program/program.ts'
import { loadParameters } from '../../src/train/checkpoint.ts'
import { initialise } from '../../src/train/initialise.ts'
import {
  countPatches,
  drawVisible,
  lossWeights,
  maskedInputs,
  maskRandom,
  targetOf,
} from '../../src/train/maskedBatch.ts'
import {
  decoderFor,
  decoderTensors,
  initialiseMasked,
  maskedParametersOf,
} from '../../src/train/maskedModel.ts'
import { recordMaskedPrediction, recordMaskedStep } from '../../src/train/maskedProgram.ts'
import { MaskedTrainer } from '../../src/train/maskedTrainer.ts'
import type { UpdateResult } from '../../src/train/optimizer.ts'
import type { MaskedTrainerOptions } from '../../src/train/options.ts'
import { Random } from '../../src/train/random.ts'
import { drawReconstruction } from '../../src/train/reconstruct.ts'
import { Trainer } from '../../src/train/trainer.ts'
import {
  deviceWeights,
  splitWeight,
  trainingWeights,
  writeParameters,
} from '../../src/train/weights.ts'
import { type BackendUnderTest, tagsOfModel } from '../backends.ts'
import { Goldens } from '../goldens.ts'
import { fullTrainingBackends, trainingBackends, trainingTeam } from './backends.ts'
import { goldenMasked } from './models.ts'

const { config, decoder, parameters } = await goldenMasked()

/** A batch of a golden file. */
function batchOf(goldens: Goldens, path = '') {
  const { shape, values } = goldens.get(`${path}video`)
  const indices = goldens.get(`${path}visible`)
  const visible = Array.from({ length: indices.shape[0]! }, (_, video) =>
    Array.from(indices.values.subarray(4 * video, 4 * video + 4)),
  )
  return { frames: { data: Uint8Array.from(values), shape }, visible }
}

/** Returns prediction, loss and gradients of the golden model. */
async function resultsOf(goldens: Goldens, loss: 'all' | 'hidden', backend: BackendUnderTest) {
  const table = maskedParametersOf(config, decoder)
  const weights = trainingWeights(encoderOf(config), table, [
    ...weightTable(config),
    ...decoderTensors(config, decoder).weights,
  ])
  const device = await backend.create(deviceWeights({ weights, trained: weights.copied }))
  writeParameters(device, [...weights.copied, ...weights.derived], parameters)
  const { size, inputs } = maskedInputs(config, batchOf(goldens))
  const training = { config, decoder, weights, trained: weights.copied }
  const target = targetOf(config, inputs.pixels)
  const weight = lossWeights(loss, inputs.masked, countPatches(loss, inputs.masked), 192)
  const run = async (program: ReturnType<typeof recordMaskedStep>, all: typeof inputs) => {
    const replay = await device.prepare(program)
    const state = await device.createState(program.states)
    const outputs = await replay.run(state, 0, all)
    for (const part of [state, replay]) part.dispose()
    return outputs
  }
  const { prediction } = await run(recordMaskedPrediction(training, size), inputs)
  const step = { ...inputs, target, weight }
  const outputs = await run(recordMaskedStep(training, size, 'return'), step)
  device.dispose()
  const gradients = new Map(
    table.map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))] as const),
  )
  for (const copied of weights.copied)
    splitWeight(copied, outputs[`gradients/${copied.name}`]!, gradients)
  const total = outputs['loss']!.reduce((sum, value) => sum + value, 0)
  return { target, prediction: prediction!, loss: total, gradients }
}

describe.each([...fullTrainingBackends, trainingTeam])('$name', (backend) => {
  test('prediction, losses and gradients', { tags: tagsOfModel(backend) }, async () => {
    const goldens = await Goldens.open('grad_mae.npz')
    for (const kind of ['all', 'hidden'] as const) {
      const { target, prediction, loss, gradients } = await resultsOf(goldens, kind, backend)
      goldens.expect('target', target)
      goldens.expect('prediction', prediction)
      goldens.expect(`loss_${kind}`, Float32Array.of(loss))
      for (const [name, values] of gradients) goldens.expect(`grad_${kind}/${name}`, values)
    }
    expect(goldens.unseen).toEqual([])
    console.log(`${backend.name.padEnd(18)} ${goldens.report()}`)
  })
})

/** The recipe of both golden runs; the other options are defaults. */
const schedule = { peak: 1e-3, warmup: 3, steps: 12 }

describe.each([...trainingBackends, trainingTeam])('$name', (backend) => {
  test.each(['all', 'hidden'] as const)(
    'twelve updates with the loss of %s patches',
    { tags: tagsOfModel(backend) },
    async (loss) => {
      const goldens = await Goldens.open('mae_steps.npz')
      await using trainer = await MaskedTrainer.create(config, decoder, parameters, {
        ...{ schedule, loss, open: backend.create },
      })
      const steps: UpdateResult[] = []
      for (let k = 0; k < 12; k++)
        steps.push(await trainer.step(batchOf(goldens, `batch_${k % 3}/`)))
      const compare = (name: string, of: (step: UpdateResult) => number) =>
        goldens.expect(`${loss}/${name}`, Float32Array.from(steps, of))
      compare('loss', (step) => step.loss)
      compare('lr', ({ learningRate }) => learningRate)
      compare('grad_norm', ({ gradientNorm }) => gradientNorm)
      if (loss === 'all')
        for (const [name, values] of await trainer.parameters())
          goldens.expect(`final_all/${name}`, values)
      const other = loss === 'all' ? /^hidden\// : /^(all|final_all)\//
      expect(goldens.unseen.filter((name) => !name.match(other))).toEqual([])
    },
  )
})

describe('a masked trainer', () => {
  const create = (options: Partial<MaskedTrainerOptions> = {}) =>
    MaskedTrainer.create(config, decoder, parameters, {
      ...{ schedule, open: trainingBackends[0]!.create },
      ...options,
    })
  const frames = () => {
    const random = new Random(5)
    const shape = [2, 3, ...config.imageSize, 3]
    return { data: Uint8Array.from({ length: sizeOf(shape) }, () => random.below(256)), shape }
  }

  test('hides what is masked from the encoder', async () => {
    await using trainer = await create()
    const [one, other] = [frames(), frames()]
    const visible = [
      [0, 8, 17, 34],
      [3, 9, 10, 11],
    ]
    // Other pixels in all hidden patches of 8×8, in a grid of 5×7.
    const [height, width] = config.imageSize
    for (const at of other.data.keys()) {
      const pixel = Math.floor(at / 3)
      const [x, y] = [pixel % width, Math.floor(pixel / width) % height]
      const video = Math.floor(pixel / (3 * height * width))
      const patch = Math.floor(y / 8) * 7 + Math.floor(x / 8)
      if (!visible[video]!.includes(patch)) other.data[at] = 255 - other.data[at]!
    }
    const predict = async (given: typeof one) =>
      (await trainer.predict({ frames: given, visible })).data
    const prediction = await predict(one)
    // Not toEqual, which takes minutes to print what differs.
    const isSame = (values: Float32Array) => values.every((value, at) => value === prediction[at])
    expect(prediction).toHaveLength(2 * 3 * 35 * 192)
    expect(isSame(await predict(other))).toBe(true)
    // A visible patch counts.
    one.data[0]! ^= 255
    expect(isSame(await predict(one))).toBe(false)
  })

  test('draws masks by the seed and the step', () => {
    const drawn = drawVisible(config, 2, maskRandom(1, 0))
    expect(drawn.map(({ length }) => length)).toEqual([4, 4])
    expect(drawn[0]).not.toEqual(drawn[1])
    for (const list of drawn) expect(list).toEqual(list.toSorted((a, b) => a - b))
    expect(drawVisible(config, 2, maskRandom(1, 0))).toEqual(drawn)
    expect(drawVisible(config, 2, maskRandom(1, 1))).not.toEqual(drawn)
    expect(drawVisible(config, 2, maskRandom(2, 0))).not.toEqual(drawn)
    const large = { ...config, imageSize: [224, 224], patchSize: [16, 16] } as const
    expect(drawVisible(large, 1, maskRandom(1, 0))[0]).toHaveLength(20)
    const seen = new Set(
      Array.from({ length: 200 }, (_, k) => drawVisible(config, 1, maskRandom(1, k))).flat(2),
    )
    expect(seen.size).toBe(35)
  })

  test('computes blocks again with the same bits', { tags: 'slow' }, async () => {
    await using one = await create()
    await using other = await create({ recompute: 'layer' })
    const batch = { frames: frames() }
    for (let k = 0; k < 2; k++) expect(await other.step(batch)).toEqual(await one.step(batch))
    expect(await other.parameters()).toEqual(await one.parameters())
  })

  test('takes flat patches as exactly 0', () => {
    for (const value of [0, 1, 77, 255]) {
      const target = targetOf(config, new Uint8Array(40 * 56 * 3).fill(value))
      expect(target.every((each) => each === 0)).toBe(true)
    }
  })

  test('draws the hidden patches of frames, and what is predicted of them', async () => {
    const goldens = await Goldens.open('grad_mae.npz')
    const { frames, visible } = batchOf(goldens)
    const { pixels, masked } = maskedInputs(config, { frames, visible }).inputs
    // A perfect prediction is the input.
    const drawn = drawReconstruction(config, pixels, targetOf(config, pixels), masked)
    expect(drawn.reconstruction.every((value, i) => value === pixels[i])).toBe(true)
    await using own = await create()
    const result = await own.reconstruct({ frames, visible })
    expect(result.masked.shape).toEqual(frames.shape)
    expect(result.masked.data.every((value, i) => value === drawn.masked[i])).toBe(true)
    const grey = drawn.masked.filter((value, i) => value === 128 && pixels[i] !== 128)
    expect(grey.length / pixels.length).toBeCloseTo(31 / 35, 1)
    // The same where patches are visible, and different where they are hidden.
    const seen = drawn.masked.map((value, i) => +(value === pixels[i]))
    const same = result.reconstruction.data.map((value, i) => +(value === pixels[i]))
    expect(seen.every((is, i) => !is || pixels[i] === 128 || same[i])).toBe(true)
    expect(same.includes(0)).toBe(true)
  })

  test('continues from a snapshot with the same bits', { tags: 'slow' }, async () => {
    await using one = await create()
    const batch = { frames: frames() }
    for (let k = 0; k < 3; k++) await one.step(batch)
    const bytes = await one.save()
    await using other = await MaskedTrainer.resume(bytes, {
      schedule,
      open: trainingBackends[0]!.create,
    })
    expect(other.steps).toBe(3)
    expect(await other.step(batch)).toEqual(await one.step(batch))
    expect(await other.parameters()).toEqual(await one.parameters())
    await expect(Trainer.resume(bytes, { schedule })).rejects.toThrow('"numClasses"')
  })

  test('gives an encoder that a model and a trainer start from', { tags: 'slow' }, async () => {
    await using trainer = await create()
    await trainer.step({ frames: frames() })
    const bytes = await trainer.encoder()
    await using model = await TRecViT.load(bytes, { device: 'wasm' })
    expect(model.warnings).toEqual([])
    expect(model.config).toEqual(config)
    const classes = { ...config, numClasses: 3, repSize: 8 }
    const loaded = await loadParameters(bytes, classes)
    const trained = await trainer.parameters()
    for (const [name, values] of loaded) expect(values, name).toEqual(trained.get(name))
    expect([...loaded.keys()]).toEqual([...trained.keys()].filter((name) => !/^mae_/.test(name)))
    const start = new Map([...initialise(classes, 1), ...loaded])
    await using classifier = await Trainer.create(classes, start, {
      ...{ schedule, open: trainingBackends[0]!.create },
    })
    const { loss } = await classifier.step({ frames: frames(), targets: [0, 2] })
    expect(loss).toBeGreaterThan(0)
  })

  test('learns from clips of two lengths', { tags: 'slow' }, async () => {
    const start = initialiseMasked(config, decoder, 1)
    await using trainer = await MaskedTrainer.create(config, decoder, start, {
      schedule: { peak: 3e-3, warmup: 5, steps: 60 },
    })
    // Stripes that a few patches give away.
    const clip = (t: number, phase: number) => ({
      data: Uint8Array.from({ length: t * 40 * 56 * 3 }, (_, at) =>
        (Math.floor(at / 3) + phase) % 8 < 4 ? 40 : 200,
      ),
      shape: [t, 40, 56, 3],
    })
    const clips = [clip(2, 0), clip(2, 3), () => clip(3, 5), clip(2, 1)]
    const losses: number[] = []
    for await (const { step, epoch, loss, framesPerSecond } of trainer.fit(clips, {
      ...{ epochs: 30, batch: 2 },
    })) {
      expect(epoch).toBe(Math.ceil(step / 2))
      expect(framesPerSecond).toBeGreaterThan(0)
      losses.push(loss)
    }
    expect(losses).toHaveLength(60)
    expect(losses.at(-1)).toBeLessThan(0.75 * losses[0]!)
  })

  test('starts as VideoMAE does', () => {
    const start = initialiseMasked(config, decoderFor(config), 1)
    const token = start.get('mae_decoder/mask_token')!
    expect(Math.max(...token.map(Math.abs))).toBeLessThanOrEqual(0.04)
    expect(Math.max(...token.map(Math.abs))).toBeGreaterThan(0.01)
    const embed = start.get('mae_decoder/embed/kernel')!
    const limit = Math.sqrt(6 / (18 + token.length))
    expect(Math.max(...embed)).toBeLessThanOrEqual(limit)
    expect(Math.max(...embed)).toBeGreaterThan(0.9 * limit)
    expect(new Set(start.get('mae_decoder/pixels/bias'))).toEqual(new Set([0]))
    expect(new Set(start.get('mae_decoder/decoder_norm/scale'))).toEqual(new Set([1]))
    expect(start.get('tokenizer/embedding/kernel')).toEqual(
      initialise(config, 1).get('tokenizer/embedding/kernel'),
    )
  })

  test.each([
    [{ seed: -1 }, '"seed" expected an integer from 0 to 4294967295, got -1'],
    [{ loss: 'visible' as 'all' }, `"loss" expected 'all' or 'hidden', got "visible"`],
    [{ labelSmoothing: 0 } as object, '"MaskedTrainer" has no option "labelSmoothing"'],
  ] as [Partial<MaskedTrainerOptions>, string][])('refuses %o', async (options, sentence) => {
    await expect(create(options)).rejects.toThrow(sentence)
  })

  test('refuses configurations and masks that do not fit', async () => {
    const odd = { ...decoder, width: 10 }
    await expect(MaskedTrainer.create(config, odd, parameters, { schedule })).rejects.toThrow(
      'The decoder of the masked auto-encoder is not valid. Config "width"',
    )
    const single = { ...config, imageSize: [8, 8] } as const
    expect(() => initialiseMasked(single, decoder, 1)).toThrow('at least 2 patches in a frame')
    await using trainer = await create()
    const step = (visible: number[][]) => trainer.step({ frames: frames(), visible })
    await expect(step([[1], [1, 2]])).rejects.toThrow(
      '"visible" expected 2 lists of the same length, from 1 to 34, got lengths [1,2]',
    )
    await expect(step([[1]])).rejects.toThrow('"visible" expected 2 lists')
    await expect(step([[1], [35]])).rejects.toThrow(
      '"visible" expected ascending integers from 0 to 34, got 35 at 0',
    )
    await expect(
      step([
        [1, 1],
        [0, 2],
      ]),
    ).rejects.toThrow('got 1 at 1')
    const short = { data: new Uint8Array(6), shape: [1, 1, 1, 2, 3] }
    await expect(trainer.step({ frames: short })).rejects.toThrow('"frames" expected bytes')
  })
})
