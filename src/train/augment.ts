/**
 * Random variants of clips. The arithmetic is that of Random: the same seed gives the same bits in
 * every runtime.
 */
import { checkArray, describe, type NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import { Random } from './random.ts'
import { type Colour, type Crop, sampleFrames } from './sampleFrames.ts'

/** How a clip is varied. Every frame of a clip is varied in the same way. */
export interface Augmentation {
  /** Height and width of the result in pixels; those of the clip by default. */
  readonly size?: readonly [number, number]
  /**
   * Scale jitter: the clip is resized by a random factor from this range, then cropped at a random
   * place. The factor is raised where the clip would not cover the result. [0.875, 1.33] by
   * default, as published. [1, 1] keeps the scale.
   */
  readonly scale?: readonly [number, number]
  /**
   * Whether half of the clips are mirrored horizontally; false by default. Leave it off where a
   * class has a direction, such as "push left".
   */
  readonly flip?: boolean
  /** x from 0 to 1: brightness is multiplied by a factor from 1 − x to 1 + x. Default 0.2. */
  readonly brightness?: number
  /** The same for contrast. */
  readonly contrast?: number
  /** The same for saturation. */
  readonly saturation?: number
  /** Number of frames of the result, from a random offset; all frames by default. */
  readonly frames?: number
  /**
   * Every n-th frame is taken, with a random n from this range: two integers, [1, 1] by default. A
   * short clip has a smaller n.
   */
  readonly stride?: readonly [number, number]
}

const OPTIONS: OptionNames<Augmentation> = {
  size: 1,
  scale: 1,
  flip: 1,
  brightness: 1,
  contrast: 1,
  saturation: 1,
  frames: 1,
  stride: 1,
}

/**
 * Returns a random variant of a clip: scale jitter, crop, colour, and temporal stride and offset.
 * @param clip [t, H, W, 3], bytes
 * @param options kinds of variation; `seed` is an integer, 0 to 2³² − 1. The same seed gives the
 * same bits in every runtime
 * @returns a new clip
 * @throws TrecvitError if the clip has another shape, or an option is out of range
 * @example
 * const variant = augment(clip, { seed: 1, flip: true, size: [224, 224], frames: 16 })
 */
export function augment(
  clip: NdArray<Uint8Array>,
  { seed, ...options }: Augmentation & { readonly seed: number },
): NdArray<Uint8Array> {
  checkAugmentation(options)
  return vary(clip, options, new Random(seed))
}

/** See `augment`. Draws the same number of random numbers whatever the options are. */
export function vary(
  clip: NdArray<Uint8Array>,
  options: Augmentation,
  random: Random,
): NdArray<Uint8Array> {
  const pixels = checkArray('clip', clip)
  const [t = 0, height = 0, width = 0, colours] = clip.shape
  if (!(pixels instanceof Uint8Array) || clip.shape.length !== 4 || colours !== 3 || t * width < 1)
    throw new TrecvitError(
      `"clip" expected bytes of shape [t,H,W,3] to augment, got ${describe(pixels)} ` +
        `[${clip.shape}]`,
    )
  const { size: [h, w] = [height, width], scale = [0.875, 1.33] } = options
  const { frames = t, stride = [1, 1] } = options
  const count = Math.min(frames, t)
  const fitting = count > 1 ? Math.floor((t - 1) / (count - 1)) : 1
  const [least, most] = stride.map((n) => Math.min(n, fitting)) as [number, number]
  const step = least + random.below(most - least + 1)
  const first = random.below(t - (count - 1) * step)
  // Pixels of the clip for a pixel of the result.
  const ratio = Math.min(height / h, width / w, 1 / between(random, scale))
  const crop: Crop = {
    ratio,
    top: random.uniform() * (height - h * ratio),
    left: random.uniform() * (width - w * ratio),
    isFlipped: random.below(2) === 1 && options.flip === true,
  }
  const factor = (x = 0.2) => between(random, [1 - x, 1 + x])
  const colour: Colour = {
    brightness: factor(options.brightness),
    contrast: factor(options.contrast),
    saturation: factor(options.saturation),
  }
  const taken = Array.from({ length: count }, (_, i) => {
    const at = (first + i * step) * height * width * 3
    return pixels.subarray(at, at + height * width * 3)
  })
  return {
    data: sampleFrames(taken, [height, width], [h, w], crop, colour),
    shape: [count, h, w, 3],
  }
}

/** Returns a generator that is a function of the seed of a run, the epoch and the sample. */
export function randomFor(seed: number, epoch: number, sample: number): Random {
  return new Random((seed ^ Math.imul(epoch, 0x9e3779b9) ^ Math.imul(sample + 1, 0x85ebca6b)) >>> 0)
}

/** @throws TrecvitError naming the option, what was expected and what came */
export function checkAugmentation(options: Augmentation): void {
  checkOptions('augment', options, OPTIONS)
  const { size, scale, flip, frames, stride } = options
  const isCount = (n: unknown) => Number.isInteger(n) && (n as number) >= 1
  const isRange = (range: readonly number[], good: (n: number) => boolean) =>
    Array.isArray(range) && range.length === 2 && range.every(good) && range[0]! <= range[1]!
  const check = (name: keyof Augmentation, good: boolean, expected: string) => {
    if (!good)
      throw new TrecvitError(
        `"augment.${name}" expected ${expected}, got ${describe(options[name])}`,
      )
  }
  if (size !== undefined)
    check('size', Array.isArray(size) && size.length === 2 && size.every(isCount), 'two integers')
  if (scale !== undefined)
    check(
      'scale',
      isRange(scale, (n) => n > 0 && n < Infinity),
      'a range of positive numbers',
    )
  if (flip !== undefined) check('flip', typeof flip === 'boolean', 'true or false')
  if (frames !== undefined) check('frames', isCount(frames), 'a positive integer')
  if (stride !== undefined) check('stride', isRange(stride, isCount), 'a range of integers')
  for (const name of ['brightness', 'contrast', 'saturation'] as const) {
    const x = options[name]
    if (x !== undefined) check(name, x >= 0 && x <= 1, 'a number from 0 to 1')
  }
}

function between(random: Random, [least, most]: readonly [number, number]): number {
  return least + (most - least) * random.uniform()
}
