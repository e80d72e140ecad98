/** A model that computes a frame in a fraction of a millisecond. */

import { encodeNpz } from '../../src/checkpoint/npy.ts'
import { configOf } from '../../src/model/config.ts'
import { TRecViT } from '../../src/model/trecvit.ts'
import { parametersOf } from '../../src/model/weights.ts'
import { Random } from './random.ts'

export const config = configOf('mu', {
  width: 8,
  depth: 1,
  mlpDim: 16,
  numHeads: 2,
  numClasses: 3,
  repSize: 4,
  lruWidth: 16,
  framesPerClip: 32,
  imageSize: [16, 16],
  patchSize: [8, 8],
})

let loaded: Promise<TRecViT> | undefined

/** Returns the model. It is loaded once. */
export function model(): Promise<TRecViT> {
  return (loaded ??= load())
}

function load(): Promise<TRecViT> {
  const random = new Random('weights')
  const arrays = parametersOf(config).map(({ name, shape }) => {
    const size = shape.reduce((product, side) => product * side, 1)
    return [
      name,
      { shape, data: Float32Array.from({ length: size }, () => random.next() / 2 ** 32 - 0.5) },
    ] as const
  })
  return TRecViT.load(encodeNpz(arrays), {
    device: 'wasm',
    threads: 1,
    labels: ['one', 'two', 'three'],
  })
}

/** Returns a frame for the model, [16,16,3]. */
export function frameOf(seed: number): { data: Uint8Array; shape: number[] } {
  return { data: new Random('frame', seed).bytes(768), shape: [16, 16, 3] }
}
