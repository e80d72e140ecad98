/** What training starts from: random numbers, first values of parameters, learning rates. */
import { describe, expect, test } from 'vitest'
import { configOf } from '../src/model/config.ts'
import { parametersOf } from '../src/model/weights.ts'
import { sizeOf } from '../src/program/program.ts'
import { initialise } from '../src/train/initialise.ts'
import { ln, Random } from '../src/train/random.ts'
import { learningRate } from '../src/train/schedule.ts'

const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((a, b) => a + b) / values.length
const std = (values: ArrayLike<number>) => Math.sqrt(mean(Array.from(values, (v) => v * v)))

describe('random numbers', () => {
  test('follow xoshiro128++', () => {
    // From the authors' C code, with the state 1, 2, 3, 4.
    const random = new Random([1, 2, 3, 4])
    expect(Array.from({ length: 4 }, () => random.integer())).toEqual([
      641, 1573767, 3222811527, 3517856514,
    ])
  })

  test('go on from a saved state', () => {
    const random = new Random(7)
    random.uniform()
    const other = new Random(random.state)
    expect(other.uniform()).toBe(random.uniform())
    expect(new Random(8).uniform()).not.toBe(new Random(7).uniform())
  })

  test('have the moments of their distributions', { tags: 'slow' }, () => {
    const random = new Random(1)
    const many = (draw: () => number) => Float64Array.from({ length: 100_000 }, draw)
    const uniform = many(() => random.uniform())
    expect(mean(uniform)).toBeCloseTo(0.5, 2)
    expect(Math.min(...uniform.subarray(0, 9999))).toBeGreaterThanOrEqual(0)
    const normal = many(() => random.normal())
    expect(mean(normal)).toBeCloseTo(0, 1)
    expect(std(normal)).toBeCloseTo(1, 1)
    // 4.55 % of normal numbers lie beyond two deviations.
    expect(mean(normal.map((v) => +(Math.abs(v) > 2)))).toBeCloseTo(0.0455, 2)
    const cut = many(() => random.truncatedNormal())
    expect(std(cut)).toBeCloseTo(0.8796, 2)
    expect(Math.max(...cut.subarray(0, 9999))).toBeLessThanOrEqual(2)
  })

  test('a permutation holds each number once', () => {
    const order = new Random(3).permutation(1000)
    expect(order.toSorted()).toEqual(Uint32Array.from({ length: 1000 }, (_, i) => i))
    expect(order.slice(0, 5)).not.toEqual(Uint32Array.of(0, 1, 2, 3, 4))
  })

  test.each([-1, 0.5, 2 ** 32, Number.NaN])('seed %s is refused', (seed) => {
    expect(() => new Random(seed)).toThrow(`Seed ${seed} is not accepted`)
  })

  test.each([1e-300, 1e-9, 0.5, 0.7, 1, 1.3, 2, 1e9, 1e300])('ln(%s)', (x) => {
    expect(Math.abs(ln(x) - Math.log(x))).toBeLessThanOrEqual(4e-16 * Math.max(1, Math.abs(ln(x))))
  })
})

describe('first values of parameters', () => {
  const config = configOf('Ti', { numClasses: 10, depth: 2, useMlp: true })
  const small = configOf('mu', { numClasses: 10, imageSize: [32, 32] })
  const values = initialise(config, 1)
  const layer = 'encoder/residualblock_01'
  const block = 'encoder/encoderblock_1'

  test('are those of all parameters, the same for the same seed', () => {
    expect(Array.from(values, ([name, { length }]) => [name, length])).toEqual(
      parametersOf(config).map(({ name, shape }) => [name, sizeOf(shape)]),
    )
    const positions = (seed: number) => initialise(small, seed).get('tokenizer/pos_embedding')
    expect(positions(1)).toEqual(positions(1))
    expect(positions(2)).not.toEqual(positions(1))
  })

  test('a parameter does not depend on other parameters', { tags: 'slow' }, () => {
    const other = initialise(configOf('Ti', { numClasses: 3, depth: 2 }), 1)
    const name = `${block}/MlpBlock_0/Dense_0/kernel`
    expect(other.get(name)!.subarray(0, 99)).toEqual(values.get(name)!.subarray(0, 99))
  })

  test.each([
    ['tokenizer/embedding/kernel', 1 / Math.sqrt(768)],
    ['tokenizer/pos_embedding', 1 / Math.sqrt(192)],
    ['decoder/pre_logits/kernel', 1 / Math.sqrt(192)],
    ['decoder/cls_head/kernel', 1 / Math.sqrt(3072)],
    [`${layer}/recurrent_block/linear_x/kernel`, 1 / Math.sqrt(192)],
    [`${layer}/recurrent_block/linear_out/kernel`, Math.sqrt(2 / (2 * 384))],
    [`${layer}/recurrent_block/conv_1d/w`, Math.sqrt(0.01 / 4)],
    [`${layer}/recurrent_block/rg_lru/a_gate/w`, 1 / Math.sqrt(384)],
    [`${layer}/mlp_block/ffw_up/w`, 1 / Math.sqrt(2 * 192)],
    [`${layer}/mlp_block/ffw_down/kernel`, Math.sqrt(2 / (2 * 768))],
    [`${block}/MlpBlock_0/Dense_0/bias`, 1e-6],
    // Uniform in ±√(6/(in + out)).
    [`${block}/MultiHeadDotProductAttention_0/query/kernel`, Math.sqrt(2 / (2 * 192))],
    [`${block}/MultiHeadDotProductAttention_0/out/kernel`, Math.sqrt(2 / (2 * 192))],
    [`${block}/MlpBlock_0/Dense_0/kernel`, Math.sqrt(2 / (192 + 768))],
  ])('%s has standard deviation %s', (name, expected) => {
    expect(std(values.get(name)!) / expected).toBeCloseTo(1, 1)
  })

  test.each([
    ['tokenizer/cls', 0],
    [`${layer}/temporal_pre_norm/scale`, 0],
    [`${layer}/channel_pre_norm/scale`, 0],
    [`${block}/LayerNorm_0/scale`, 1],
    ['encoder/encoder_norm/bias', 0],
    ['decoder/cls_head/bias', 0],
    [`${block}/MultiHeadDotProductAttention_0/query/bias`, 0],
  ])('%s is %s', (name, expected) => {
    expect(new Set(values.get(name))).toEqual(new Set([expected]))
  })

  test('the decay of the recurrence is spread over 0.5 to 0.999', () => {
    const radii = values
      .get(`${layer}/recurrent_block/rg_lru/a_param`)!
      .map((a) => 1 / (1 + Math.exp(a)))
    expect(Math.min(...radii)).toBeGreaterThan(0.5)
    expect(Math.max(...radii)).toBeLessThan(0.9991)
    expect(mean(radii.map((r) => r * r))).toBeCloseTo((0.999 ** 2 + 0.25) / 2, 1)
  })
})

describe('learning rate', () => {
  const schedule = { peak: 2e-3, warmup: 10, steps: 110, end: 1e-5 }

  test('rises from 0 to the peak, and falls to the end', () => {
    expect(learningRate(schedule, 0)).toBe(0)
    expect(learningRate(schedule, 5)).toBeCloseTo(1e-3, 12)
    expect(learningRate(schedule, 10)).toBeCloseTo(2e-3, 17)
    expect(learningRate(schedule, 110)).toBe(1e-5)
    expect(learningRate(schedule, 1000)).toBe(1e-5)
  })

  test.each([10, 20, 37, 60, 85, 100, 109])('is a cosine at step %s', (k) => {
    const cosine = (1 + Math.cos((Math.PI * (k - 10)) / 100)) / 2
    expect(learningRate(schedule, k)).toBeCloseTo(1e-5 + (2e-3 - 1e-5) * cosine, 17)
  })

  test.each([
    ['peak', -1],
    ['warmup', 1.5],
    ['steps', 5],
    ['end', 1],
  ])('%s of %s is refused', (field, value) => {
    expect(() => learningRate({ ...schedule, [field]: value }, 0)).toThrow(`Schedule "${field}"`)
  })
})
