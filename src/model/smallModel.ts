import type { SmallModel } from '../backend/selfTest.ts'
import type { Config } from './config.ts'
import { recordModel } from './graph.ts'
import { weightTable } from './weights.ts'

/** Uses every operation; its sizes are multiples of no vector width. */
const config: Config = {
  width: 20,
  depth: 2,
  mlpDim: 36,
  numHeads: 2,
  numClasses: 7,
  repSize: 24,
  framesPerClip: 4,
  imageSize: [24, 40],
  patchSize: [8, 8],
  conv1dTemporalWidth: 4,
  lruWidth: 28,
  posemb: 'learn',
  poolType: 'gap',
  useMlp: true,
}

/** The model that the self-test of a backend runs. */
export const smallModel: SmallModel = {
  weights: (dtype) => weightTable(config, dtype),
  program: (dtype) =>
    recordModel(config, { b: 2, t: 3, pixels: 'u8', recent: 'window', dtype, encoded: true }),
}
