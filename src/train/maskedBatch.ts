/** What a step of masked auto-encoding reads: clips, masks, and targets. */
import type { NdArray } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { type Config, gridOf } from '../model/config.ts'
import { checkClips } from './batch.ts'
import { patchesOf } from './maskedModel.ts'
import type { MaskedSize } from './maskedProgram.ts'
import { Random } from './random.ts'

/** Clips of unlabelled video. */
export interface MaskedBatch {
  /** [b, t, H, W, 3], bytes. */
  readonly frames: NdArray<Uint8Array>
  /**
   * Indices of the visible patches of each video, ascending, as many for each. A patch is visible
   * or hidden in all frames. By default a tenth of the patches is visible, drawn for each video.
   */
  readonly visible?: readonly (readonly number[])[]
}

/** Part of the patches that is hidden. */
const HIDDEN = 0.9
/** Added to the standard deviation of a patch. */
export const EPSILON = 1e-6

/** Returns the generator of the masks of a step. */
export function maskRandom(seed: number, step: number): Random {
  return new Random((seed ^ Math.imul(step + 1, 0x9e3779b9)) >>> 0)
}

/** Draws the visible patches of each of b videos: all but int(0.9·g). */
export function drawVisible(config: Config, b: number, random: Random): number[][] {
  const g = patchesOf(config)
  const hidden = Math.floor(HIDDEN * g)
  return Array.from({ length: b }, () =>
    Array.from(random.permutation(g).subarray(hidden)).sort((one, other) => one - other),
  )
}

/**
 * Returns the inputs of `recordMaskedPrediction`.
 * @throws TrecvitError if the batch does not fit the model
 */
export function maskedInputs(
  config: Config,
  { frames, visible }: Required<MaskedBatch>,
): {
  readonly size: MaskedSize
  readonly inputs: {
    readonly pixels: Uint8Array
    readonly visible: Float32Array
    readonly masked: Float32Array
  }
} {
  const { b, t, input } = checkClips(config, { frames })
  const g = patchesOf(config)
  const v = visible[0]?.length ?? 0
  if (visible.length !== b || v < 1 || v >= g || visible.some(({ length }) => length !== v))
    throw new TrecvitError(
      `"visible" expected ${b} lists of the same length, from 1 to ${g - 1}, got lengths ` +
        `[${visible.map(({ length }) => length)}]`,
    )
  const masked = new Float32Array(b * t * g).fill(1)
  for (const [video, list] of visible.entries())
    for (const [i, patch] of list.entries()) {
      if (!(Number.isInteger(patch) && patch < g && patch > (list[i - 1] ?? -1)))
        throw new TrecvitError(
          `"visible" expected ascending integers from 0 to ${g - 1}, got ${patch} at ${i}`,
        )
      for (let frame = 0; frame < t; frame++) masked[(video * t + frame) * g + patch] = 0
    }
  return {
    size: { b, t, v },
    inputs: { pixels: input as Uint8Array, visible: Float32Array.from(visible.flat()), masked },
  }
}

/**
 * Returns the number of patches that the loss is the mean over: all, or those that are hidden.
 * @param masked 1 for hidden patches, else 0
 */
export function countPatches(loss: 'all' | 'hidden', masked: Float32Array): number {
  return loss === 'all' ? masked.length : masked.reduce((sum, value) => sum + value, 0)
}

/**
 * Returns the weight of each patch in the mean over `count` patches.
 * @param size numbers of a patch
 */
export function lossWeights(
  loss: 'all' | 'hidden',
  masked: Float32Array,
  count: number,
  size: number,
): Float32Array {
  if (loss === 'all') return new Float32Array(masked.length).fill(1 / (count * size))
  return masked.map((value) => value / (count * size))
}

/**
 * Returns the pixels of all patches [b, t, g, p·p·3], each colour of each patch normalised:
 * (z − mean) / (std + 1e-6) with z in 0..1 and the unbiased standard deviation. The sums are
 * integers, so flat patches are exactly 0.
 * @param pixels [b, t, H, W, 3]
 */
export function targetOf(config: Config, pixels: Uint8Array): Float32Array {
  const [py, px] = config.patchSize
  const [height, width] = config.imageSize
  const [gridRows, gridColumns] = gridOf(config)
  const n = py * px
  const target = new Float32Array(pixels.length)
  const frames = pixels.length / (height * width * 3)
  let to = 0
  for (let frame = 0; frame < frames; frame++)
    for (let row = 0; row < gridRows; row++)
      for (let column = 0; column < gridColumns; column++)
        for (let colour = 0; colour < 3; colour++) {
          const first = ((frame * height + row * py) * width + column * px) * 3 + colour
          const at = (i: number) => pixels[first + (Math.floor(i / px) * width + (i % px)) * 3]!
          const { sum, deviation } = statisticsOf(n, at)
          const factor = 1 / (255 * n * (deviation + EPSILON))
          for (let i = 0; i < n; i++) target[to + 3 * i + colour] = (n * at(i) - sum) * factor
          if (colour === 2) to += 3 * n
        }
  return target
}

/** Sum of n bytes, and their unbiased standard deviation in 0..1. */
export function statisticsOf(
  n: number,
  at: (i: number) => number,
): { readonly sum: number; readonly deviation: number } {
  let [sum, squares] = [0, 0]
  for (let i = 0; i < n; i++) {
    sum += at(i)
    squares += at(i) ** 2
  }
  const deviation = Math.sqrt((n * squares - sum * sum) / (n * Math.max(1, n - 1))) / 255
  return { sum, deviation }
}
