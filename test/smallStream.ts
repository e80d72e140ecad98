/**
 * A model with random weights, small enough for a software GPU, with 40 frames and their logits.
 */
import { beforeAll } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, type FrameAnswer, TRecViT } from '../src/index.ts'

const COUNT = 40
/** Shape of a frame. */
export const shape: readonly number[] = [32, 32, 3]
/** The checkpoint. Set before the tests run. */
let bytes: Uint8Array
/** The frames. Set before the tests run. */
export let frames: NdArray<Uint8Array>[]
/** Logits of every frame. Set before the tests run. */
export let plain: number[][]

/** Loads the model. */
export const load = (options: Parameters<typeof TRecViT.load>[1] = {}): Promise<TRecViT> =>
  TRecViT.load(bytes, { threads: 2, ...options })
/** Returns the logits of a result as an array. */
export const logitsOf = ({ logits }: FrameAnswer): number[] => [...logits.data]

beforeAll(async () => {
  const config = configOf('mu', { imageSize: [32, 32], repSize: 24, numClasses: 5 })
  bytes = await checkpointBytes(randomCheckpoint(config, 5))
  const next = noise(5)
  frames = Array.from({ length: COUNT }, () => ({
    data: Uint8Array.from({ length: 32 * 32 * 3 }, () => 128 + 127 * next()),
    shape,
  }))
  await using model = await load({ device: 'wasm' })
  const stream = model.stream()
  plain = (await Promise.all(frames.map((frame) => stream.push(frame)))).map(logitsOf)
})
