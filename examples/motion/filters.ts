/**
 * A start of the patch embedding: oriented band-pass filters in pairs, a quarter of a wave apart.
 * They have no mean: with filters that keep the brightness of a patch the loss hardly falls.
 * Positions are as large as what the filters give: a zoom and a roll differ only in which motion is
 * where, and with the official start a model takes far longer to tell them apart.
 */
import type { Config } from '../../src/model/config.ts'
import type { Parameters } from '../../src/train/index.ts'
import { Random } from '../../src/train/random.ts'
import { direction } from './paint.ts'

/** Factor of the position embedding over its official start, whose numbers have a size of 1/√d. */
const POSITIONS = 10

/**
 * Returns parameters whose patch kernel consists of filters. The two factors of each channel of the
 * first recurrent block read one pair of filters, the first factor some frames ago: such products
 * differ between the two directions of a motion.
 */
export function startWithFilters(
  parameters: Parameters,
  config: Config,
  seed: number,
): Map<string, Float32Array> {
  const random = new Random(seed)
  const block = 'encoder/residualblock_00/recurrent_block'
  const positions = parameters.get('tokenizer/pos_embedding')!
  return new Map([
    ...parameters,
    ['tokenizer/embedding/kernel', patchKernel(config, random)],
    ['tokenizer/pos_embedding', positions.map((value) => POSITIONS * value)],
    [`${block}/linear_x/kernel`, pairKernel(config, random)],
    [`${block}/linear_y/kernel`, pairKernel(config, random)],
    [`${block}/conv_1d/w`, delays(config, random)],
  ])
}

/** Returns the kernel of the patch embedding. */
function patchKernel(
  { patchSize: [height, width], width: d }: Config,
  random: Random,
): Float32Array {
  const kernel = new Float32Array(height * width * 3 * d)
  for (let pair = 0; pair < d / 2; pair++) {
    const [c, s] = direction(random)
    // Pixels of a wave.
    const period = 3 + 21 * random.uniform() ** 2
    const sigma = Math.min(6, 0.5 * period + 1)
    const [ox, oy] = [(random.uniform() - 0.5) * 6, (random.uniform() - 0.5) * 6]
    for (let phase = 0; phase < 2; phase++) {
      const values = new Float32Array(height * width)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const [u, v] = [x - width / 2 + 0.5 - ox, y - height / 2 + 0.5 - oy]
          const window = 1 / (1 + (u * u + v * v) / (2 * sigma * sigma)) ** 3
          values[y * width + x] = window * wave((c * u + s * v) / period + phase / 4)
        }
      // Without the mean: the brightness of a patch says nothing about motion.
      const mean = values.reduce((a, b) => a + b, 0) / values.length
      const norm = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0))
      for (let i = 0; i < values.length; i++)
        for (let colour = 0; colour < 3; colour++)
          kernel[(i * 3 + colour) * d + 2 * pair + phase] = (2 * (values[i]! - mean)) / norm
    }
  }
  return kernel
}

/** Returns a kernel whose channels read one pair of filters each, in a random phase. */
function pairKernel({ width: d, lruWidth: e }: Config, random: Random): Float32Array {
  const kernel = new Float32Array(d * e)
  for (let channel = 0; channel < e; channel++) {
    const pair = channel % (d / 2)
    for (const [i, value] of direction(random).entries())
      kernel[(2 * pair + i) * e + channel] = value
  }
  return kernel
}

/** Returns a kernel over time that delays each channel by one or two frames. */
function delays({ conv1dTemporalWidth: k, lruWidth: e }: Config, random: Random): Float32Array {
  const kernel = new Float32Array(k * e)
  for (let channel = 0; channel < e; channel++) kernel[(k - 2 - random.below(2)) * e + channel] = 1
  return kernel
}

/** A smooth wave of period 1, close to a cosine: parabolas, so that every runtime agrees. */
function wave(turns: number): number {
  const place = turns - Math.floor(turns)
  const x = 4 * Math.abs(place - 0.5) - 1
  return x * (2 - Math.abs(x))
}
