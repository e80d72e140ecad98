/** Memory of training, known from its programs. */
import { describe, expect, test } from 'vitest'
import { compile } from '../../src/backend/wasm/builds.ts'
import { cpuCapabilities } from '../../src/backend/wasm/capabilities.ts'
import { Instance } from '../../src/backend/wasm/instance.ts'
import { BASE, createMemory } from '../../src/backend/wasm/kernels.ts'
import { CallerThread } from '../../src/backend/wasm/machine.ts'
import { WasmBackend } from '../../src/backend/wasm/wasm.ts'
import { configOf } from '../../src/model/config.ts'
import { trainingBinaries } from '../../src/train/cpu.ts'
import { initialise } from '../../src/train/initialise.ts'
import { initialiseMasked } from '../../src/train/maskedModel.ts'
import { MaskedTrainer } from '../../src/train/maskedTrainer.ts'
import type { TrainerOptions } from '../../src/train/options.ts'
import { Trainer } from '../../src/train/trainer.ts'
import { trainingMemory } from '../../src/train/trainingMemory.ts'
import { trainingBackends } from './backends.ts'
import { goldenConfig, goldenMasked } from './models.ts'

const recipe = { schedule: { peak: 1e-3, warmup: 0, steps: 10 } }
const isHead = (name: string) => name.startsWith('decoder/')
const tok = goldenConfig('tok')

/** Clips of one grey. */
function batch(b: number, t: number, [height, width] = tok.imageSize) {
  const shape = [b, t, height, width, 3]
  return {
    frames: { data: new Uint8Array(b * t * height * width * 3).fill(9), shape },
    targets: Array.from({ length: b }, (_, i) => i % 3),
  }
}

test('the head of B on 8 frames takes less than 150 MB beside the weights', () => {
  const config = configOf('B', { numClasses: 400, framesPerClip: 8 })
  const memory = trainingMemory(config, { b: 1, t: 8 }, { trains: isHead, threads: 2 })
  console.log('B, 1 × 8 frames, head only', memory)
  expect(memory.total - memory.weights).toBeLessThan(150e6)
})

test('Ti on 4 × 16 frames takes less than 1.2 GiB', { tags: 'slow' }, () => {
  const config = configOf('Ti', { numClasses: 400, framesPerClip: 16 })
  const { total } = trainingMemory(config, { b: 4, t: 16 }, { recompute: 'layer', threads: 2 })
  console.log('Ti, 4 × 16 frames, blocks computed again', total)
  expect(total).toBeLessThan(1.2 * 2 ** 30)
})

/** Memory grows by an eighth at a time. */
const MARGIN = 1.3

/** Returns a trainer, and the bytes of linear memory that it takes. */
async function measured(options: Partial<TrainerOptions>) {
  const { sharedMemory, choices } = cpuCapabilities()
  const memory = createMemory(sharedMemory)
  const trainer = await Trainer.create(tok, initialise(tok, 1), {
    ...{ ...recipe, ...options },
    open: async (weights) => {
      const module = await compile('simd', sharedMemory, trainingBinaries)
      const machine = new CallerThread(await Instance.open(module, choices, memory))
      return WasmBackend.create(weights, machine)
    },
  })
  return { trainer, taken: () => memory.buffer.byteLength - BASE }
}

test.each([
  {},
  { recompute: 'layer' },
  { microBatch: 2 },
  { ema: 0.9 },
  { trains: isHead },
] as const)('is what the CPU takes, with %o', { tags: 'slow' }, async (options) => {
  const { trainer, taken } = await measured(options)
  await trainer.step(batch(4, 4))
  const { total } = trainingMemory(tok, { b: 4, t: 4 }, { ...options, threads: 1 })
  expect(taken()).toBeGreaterThan(0.95 * total)
  expect(taken()).toBeLessThan(MARGIN * total)
  await trainer.dispose()
})

describe('too little memory', () => {
  const open = (options: Partial<TrainerOptions>) =>
    Trainer.create(tok, initialise(tok, 1), {
      ...{ ...recipe, open: trainingBackends[0]!.create, ...options },
    })
  const need = (b: number, options: Partial<TrainerOptions> = {}) =>
    trainingMemory(tok, { b, t: 4 }, { ...options, threads: 1 }).total

  test('is an error with what fits, which then fits', { tags: 'slow' }, async () => {
    const maxBytes = need(4)
    await using trainer = await open({ maxBytes })
    const error = await trainer.step(batch(16, 4)).catch((error: Error) => error.message)
    expect(error).toMatch(
      /^A step with 16 × 4 frames at once takes [\d.]+ MB with the weights, more than [\d.]+ MB /,
    )
    expect(error).toMatch(/what fits: microBatch: 4, or recompute: 'layer' with microBatch: \d+$/)
    // The trainer still works.
    expect((await trainer.step(batch(4, 4))).step).toBe(1)
    const microBatch = Number(/\d+$/.exec(String(error))![0])
    expect(microBatch).toBeGreaterThan(4)
    await using small = await open({ maxBytes, microBatch: 4 })
    await small.step(batch(16, 4))
    await using again = await open({ maxBytes, microBatch, recompute: 'layer' })
    await again.step(batch(16, 4))
    await using tooMuch = await open({ maxBytes, microBatch: 5 })
    await expect(tooMuch.step(batch(16, 4))).rejects.toThrow('microBatch: 4')
  })

  test('drops programs of other sizes first', { tags: 'slow' }, async () => {
    const { trainer, taken } = await measured({ maxBytes: need(4) })
    for (const b of [4, 3, 2, 4]) await trainer.step(batch(b, 4))
    expect(trainer.steps).toBe(4)
    expect(taken()).toBeLessThan(MARGIN * need(4))
    await trainer.dispose()
  })

  test('says so if not even one clip fits', async () => {
    await using trainer = await open({ maxBytes: need(1, { recompute: 'layer' }) - 1e4 })
    await expect(trainer.step(batch(2, 4))).rejects.toThrow(
      'not even one clip of 4 frames fits: use shorter clips or a smaller model',
    )
    await expect(trainer.classify(batch(400, 4))).rejects.toThrow(
      /A program for these clips takes .* use fewer clips at once/,
    )
  })

  test('is found before the weights are allocated', async () => {
    await expect(open({ maxBytes: 1e5 })).rejects.toThrow(
      'The weights with their moments take 0.4 MB, more than 0.1 MB ("maxBytes"); train fewer ' +
        'parameters ("trains"), or a smaller model',
    )
    await expect(open({ maxBytes: 0 })).rejects.toThrow(
      '"maxBytes" expected a positive number, got 0',
    )
  })

  test('of masked training, too', { tags: 'slow' }, async () => {
    const { config, decoder } = await goldenMasked()
    await using trainer = await MaskedTrainer.create(
      ...([config, decoder, initialiseMasked(config, decoder, 1)] as const),
      { ...recipe, maxBytes: 3e6, open: trainingBackends[0]!.create },
    )
    const { frames } = batch(64, 2, config.imageSize)
    await expect(trainer.step({ frames })).rejects.toThrow(
      /A step with 64 × 2 frames at once takes .*; what fits: microBatch: \d+, or recompute/,
    )
  })
})
