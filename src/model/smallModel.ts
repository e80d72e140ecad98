import type { MatrixDType } from '../backend/backend.ts'
import type { SmallPrograms } from '../backend/selfTest.ts'
import { type Config, gridOf, tokensOf } from './config.ts'
import { recordModel } from './graph.ts'

/**
 * Records two chunks of a stream of a small model. On the same device they choose every variant of
 * a kernel that chunks of the model choose: the first for many frames, the second for few.
 */
export function smallPrograms(config: Config, dtype: MatrixDType): SmallPrograms {
  const tiny = tokensOf(config) <= 8
  const small = shrink(config, tiny ? gridOf(config) : [2, 4])
  const b = tiny ? 1 : 3
  const readOuts = (['all', 'halfLife', 'window'] as const).map((over) => ({
    path: `${over}/`,
    over,
  }))
  const record = (t: number, pixels: 'u8' | 'f32', encoded: boolean) =>
    recordModel(small, { b, t, pixels, dtype, recent: 'all', encoded }, readOuts)
  return [record(9 / b, 'f32', true), record(1, 'u8', false)]
}

/**
 * Returns a configuration with small sizes. They leave the same remainders as those of the model,
 * which kernels choose their variants by.
 */
function shrink(config: Config, [rows, columns]: readonly [number, number]): Config {
  const { width, numHeads, lruWidth, patchSize } = config
  const cut = (size: number) => (size < 64 ? size : 64 + (size % 64))
  const pixels = cut(patchSize[0] * patchSize[1])
  const height = pixels % 2 ? 1 : 2
  const small: Config = {
    ...config,
    depth: 1,
    mlpDim: cut(config.mlpDim),
    numClasses: cut(config.numClasses),
    repSize: cut(config.repSize),
    imageSize: [rows * height, (columns * pixels) / height],
    patchSize: [height, pixels / height],
  }
  const head = (width / numHeads) % 32 || 32
  const block = cut(lruWidth / numHeads)
  for (let heads = Math.min(2, numHeads); heads <= numHeads; heads++)
    if ((heads * head - width) % 64 === 0 && (heads * block - lruWidth) % 64 === 0)
      return { ...small, width: heads * head, numHeads: heads, lruWidth: heads * block }
  return small
}
