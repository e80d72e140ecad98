import { describe, expect, test } from 'vitest'
import { type Config, configOf, sizeNames, tokensOf } from '../src/model/config.ts'
import { checkTensors, inferConfig } from '../src/model/infer.ts'
import { parametersOf } from '../src/model/weights.ts'

const shapes = (config: Config) =>
  new Map(parametersOf(config).map(({ name, shape }) => [name, { shape }]))
const millions = (config: Config) =>
  parametersOf(config).reduce(
    (sum, { shape }) => sum + shape.reduce((one, other) => one * other, 1),
    0,
  ) / 1e6

test('every size has the parameters of the official code', () => {
  // notes/model.md of the official code: parameters in millions with lruWidth = 2 × width.
  const expected = {
    mu: 1.39,
    Ti: 11.2,
    S: 37.2,
    M: 63.3,
    B: 136.78,
    L: 471.8,
    So400m: 650.9,
    H: 977.8,
    g: 1533.6,
    'g-opt': 1755.5,
    G: 2715.0,
    'G-opt': 2407.2,
    e: 4983.5,
  }
  expect(Object.keys(expected)).toEqual([...sizeNames])
  for (const size of sizeNames) expect(millions(configOf(size)) / expected[size]).toBeCloseTo(1, 2)
  expect(parametersOf(configOf('B'))).toHaveLength(370)
})

describe('inference from names and shapes', () => {
  const variants: [string, Config, Partial<Config>][] = [
    ...sizeNames.map((size): [string, Config, Partial<Config>] => [size, configOf(size), {}]),
    ['mean over tokens', configOf('mu', { poolType: 'gap' }), {}],
    ['gated MLP', configOf('mu', { useMlp: true }), {}],
    [
      'narrow recurrence, 2 taps, 7 classes, rep 9',
      configOf('mu', { lruWidth: 6, conv1dTemporalWidth: 2, numClasses: 7, repSize: 9 }),
      {},
    ],
    ['patch 8 × 4', configOf('mu', { patchSize: [8, 4], imageSize: [32, 16] }), {}],
    ['not square', configOf('mu', { imageSize: [64, 96] }), { imageSize: [64, 96] }],
    [
      'fixed positions',
      configOf('mu', { posemb: 'sincos2d', imageSize: [48, 48] }),
      { imageSize: [48, 48] },
    ],
    ['clip of 16', configOf('mu', { framesPerClip: 16 }), { framesPerClip: 16 }],
    ['encoder only', configOf('mu', { numClasses: 0, repSize: 0 }), {}],
  ]
  test.each(variants)('%s', (_, config, given) => {
    expect(inferConfig('file.npz', shapes(config), given)).toEqual(config)
    expect(checkTensors('file.npz', shapes(config), config)).toEqual([])
  })

  test('values that the file does not contain are required as options', () => {
    expect(() => inferConfig('f.npz', shapes(configOf('mu', { posemb: 'sincos2d' })), {})).toThrow(
      'f.npz has fixed positions, which do not determine the image size; give config.imageSize',
    )
    expect(() => inferConfig('f.npz', shapes(configOf('mu', { imageSize: [64, 96] })), {})).toThrow(
      '24 positions, which do not form a square grid',
    )
    expect(() => inferConfig('f.npz', new Map(), {})).toThrow(
      'f.npz has no tensor "tokenizer/embedding/kernel", so it is not a TRecViT checkpoint',
    )
  })
})

describe('tensors both ways', () => {
  const config = configOf('mu')
  test('missing, of another shape, unknown inside, unknown outside, a head left aside', () => {
    const check = (
      change: (tensors: Map<string, { shape: readonly number[] }>) => void,
      used = config,
    ) => {
      const tensors = shapes(config)
      change(tensors)
      return checkTensors('f.npz', tensors, used)
    }
    expect(() => check((tensors) => tensors.delete('encoder/encoder_norm/bias'))).toThrow(
      'f.npz has no tensor "encoder/encoder_norm/bias" [32]',
    )
    expect(() =>
      check((tensors) => tensors.set('encoder/encoder_norm/bias', { shape: [33] })),
    ).toThrow('"encoder/encoder_norm/bias" in f.npz expected shape [32], got [33]')
    expect(() => check((tensors) => tensors.set('encoder/extra', { shape: [1] }))).toThrow(
      'f.npz has a tensor "encoder/extra" [1]',
    )
    expect(check((tensors) => tensors.set('optimizer/step', { shape: [] }))).toEqual([
      'optimizer/step',
    ])
    expect(check(() => {}, { ...config, numClasses: 0, repSize: 0 })).toHaveLength(4)
  })
})

test('a wrong field is named', () => {
  expect(() => configOf('B', { width: 770 })).toThrow(
    'Config "width" expected a multiple of numHeads 12, got 770',
  )
  expect(() => configOf('B', { imageSize: [224, 220] })).toThrow(
    'Config "imageSize" expected multiples of the patch 16×16, got [224,220]',
  )
  expect(() => configOf('B', { posemb: 'rope' as 'learn' })).toThrow(
    'Config "posemb" expected "learn" or "sincos2d", got "rope"',
  )
  expect(() => configOf('X' as 'B')).toThrow('Unknown model size "X", expected one of mu, Ti')
  expect(tokensOf(configOf('B'))).toBe(197)
})
