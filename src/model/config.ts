import { TrecvitError } from '../base/error.ts'

/**
 * Configuration of a TRecViT, with the official names in camel case (trecvit/trecvit_model.py
 * get_model, modules.py). Letters used everywhere: b videos, t frames, n tokens of a frame, d
 * width, e LRU width, m MLP width, h heads, k temporal taps, r head width, c classes.
 */
export interface Config {
  /** d: channels of a token. */
  readonly width: number
  /** Number of layers; each is a temporal block followed by a spatial block. */
  readonly depth: number
  /** m: hidden width of the MLPs. */
  readonly mlpDim: number
  /** h: heads of the attention and blocks of the RG-LRU gates. */
  readonly numHeads: number
  /** c: classes; 0 for an encoder without a head (features only). */
  readonly numClasses: number
  /** Width of the tanh layer before the class head; 0 without a head. */
  readonly repSize: number
  /** Frames of a clip; a longer video is cut into max(floor(t / framesPerClip), 1) clips. */
  readonly framesPerClip: number
  /** [height, width] of the input in pixels, multiples of the patch. */
  readonly imageSize: readonly [number, number]
  /** [height, width] of a patch in pixels. */
  readonly patchSize: readonly [number, number]
  /** k: taps of the causal temporal convolution. */
  readonly conv1dTemporalWidth: number
  /** e: channels of the recurrence (officially 2 × width). */
  readonly lruWidth: number
  /** Position embedding of the patches: learned, or fixed sines and cosines. */
  readonly posemb: 'learn' | 'sincos2d'
  /** Input of the head: a class token, or the mean over all tokens. */
  readonly poolType: 'tok' | 'gap'
  /**
   * Whether there is a gated MLP between recurrence and attention. TAPNext has one, the official
   * classifiers have none.
   */
  readonly useMlp: boolean
}

/** Returns whether a model has a class head; without one it is an encoder. */
export const hasClassHead = ({ numClasses }: Pick<Config, 'numClasses'>): boolean => numClasses > 0

/** width, depth, mlpDim, numHeads of the official sizes (trecvit/utils.py decode_variant). */
const sizes = {
  mu: [32, 1, 128, 2],
  Ti: [192, 12, 768, 3],
  S: [384, 12, 1536, 6],
  M: [512, 12, 2048, 8],
  B: [768, 12, 3072, 12],
  L: [1024, 24, 4096, 16],
  So400m: [1152, 27, 4304, 16],
  H: [1280, 32, 5120, 16],
  g: [1408, 40, 6144, 16],
  'g-opt': [1536, 40, 6144, 16],
  G: [1664, 48, 8192, 16],
  'G-opt': [1536, 48, 8192, 16],
  e: [1792, 56, 15360, 16],
} as const

/** Name of an official size. */
export type Size = keyof typeof sizes

/** Names of the official sizes, smallest first. */
export const sizeNames: readonly Size[] = Object.keys(sizes) as Size[]

/**
 * The official configuration of a size (get_model: LRU width 2d, 4 taps, head width 3072, class
 * token, learned positions, 224×224, patch 16, 400 classes, 32 frames), with any field replaced.
 * @throws TrecvitError if the size is unknown or the result is not a valid configuration.
 * @example
 * const config = configOf('B', { numClasses: 10 })
 */
export function configOf(size: Size, changes: Partial<Config> = {}): Config {
  const found = sizes[size]
  if (!found)
    throw new TrecvitError(`Unknown model size "${size}", expected one of ${sizeNames.join(', ')}`)
  const [width, depth, mlpDim, numHeads] = found
  const config: Config = {
    width,
    depth,
    mlpDim,
    numHeads,
    numClasses: 400,
    repSize: 3072,
    framesPerClip: 32,
    imageSize: [224, 224],
    patchSize: [16, 16],
    conv1dTemporalWidth: 4,
    lruWidth: 2 * (changes.width ?? width),
    posemb: 'learn',
    poolType: 'tok',
    useMlp: false,
    ...changes,
  }
  checkConfig(config)
  return config
}

/**
 * Checks a configuration.
 * @throws TrecvitError naming the first field that is out of range or does not fit another
 */
export function checkConfig(config: Config): void {
  const fail = (field: string, expected: string, got: unknown) => {
    throw new TrecvitError(`Config "${field}" expected ${expected}, got ${JSON.stringify(got)}`)
  }
  const integer = (field: string, value: unknown, least: number) => {
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > 1 << 24)
      fail(field, `an integer of at least ${least}`, value)
  }
  for (const field of [
    'width',
    'depth',
    'mlpDim',
    'numHeads',
    'framesPerClip',
    'conv1dTemporalWidth',
    'lruWidth',
  ] as const)
    integer(field, config[field], 1)
  integer('numClasses', config.numClasses, 0)
  integer('repSize', config.repSize, hasClassHead(config) ? 1 : 0)
  for (const field of ['imageSize', 'patchSize'] as const) {
    const value = config[field]
    if (!Array.isArray(value) || value.length !== 2)
      fail(field, 'two numbers [height, width]', value)
    value.forEach((side, axis) => integer(`${field}[${axis}]`, side, 1))
  }
  const { imageSize, patchSize, width, lruWidth, numHeads } = config
  if (imageSize[0] % patchSize[0] || imageSize[1] % patchSize[1])
    fail('imageSize', `multiples of the patch ${patchSize.join('×')}`, imageSize)
  if (width % numHeads) fail('width', `a multiple of numHeads ${numHeads}`, width)
  if (lruWidth % numHeads) fail('lruWidth', `a multiple of numHeads ${numHeads}`, lruWidth)
  if (config.posemb !== 'learn' && config.posemb !== 'sincos2d')
    fail('posemb', '"learn" or "sincos2d"', config.posemb)
  if (config.posemb === 'sincos2d' && width % 4)
    fail('width', 'a multiple of 4 for sincos2d', width)
  if (config.poolType !== 'tok' && config.poolType !== 'gap')
    fail('poolType', '"tok" or "gap"', config.poolType)
  if (typeof config.useMlp !== 'boolean') fail('useMlp', 'true or false', config.useMlp)
}

/** Configuration of layers. */
export type LayersConfig = Pick<
  Config,
  'width' | 'depth' | 'mlpDim' | 'numHeads' | 'conv1dTemporalWidth' | 'lruWidth' | 'useMlp'
>

/** Configuration of an encoder: a model without its head and read-outs. */
export interface EncoderConfig
  extends LayersConfig,
    Pick<Config, 'imageSize' | 'patchSize' | 'posemb'> {
  /** Whether the first token of every frame is a learned one without position. */
  readonly classToken: boolean
  /**
   * Number of tokens of every frame, before the patches, that are an input of the program:
   * `queries`.
   */
  readonly queryTokens: number
}

/** Returns the number of tokens of a frame before the patches. */
export function leadOf({ classToken, queryTokens }: EncoderConfig): number {
  return (classToken ? 1 : 0) + queryTokens
}

/** Returns the encoder of a model. The head decides whether there is a class token. */
export function encoderOf(config: Config): EncoderConfig {
  return { ...config, classToken: config.poolType === 'tok', queryTokens: 0 }
}

/** Returns the rows and columns of patches in a frame. */
export function gridOf({
  imageSize,
  patchSize,
}: Pick<Config, 'imageSize' | 'patchSize'>): readonly [number, number] {
  return [imageSize[0] / patchSize[0], imageSize[1] / patchSize[1]]
}

/** Returns n: tokens of a frame, the class token included. */
export function tokensOf(config: Config): number {
  const [rows, columns] = gridOf(config)
  return rows * columns + (config.poolType === 'tok' ? 1 : 0)
}

/**
 * Returns the default window of a stream's answers in frames: half a clip, at most 4096. A longer
 * window reacts late, a shorter one flickers.
 */
export function windowOf({ framesPerClip }: Config): number {
  return Math.min(4096, Math.ceil(framesPerClip / 2))
}

/** Returns the number of values of a frame [H, W, 3]. */
export function frameSizeOf({ imageSize }: Config): number {
  return imageSize[0] * imageSize[1] * 3
}
