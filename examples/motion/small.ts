/** The small model of the experiments, and its clips. */
import { configOf } from '../../src/index.ts'
import type { Config } from '../../src/model/config.ts'
import type { Sample } from '../../src/train/index.ts'
import { LABELS } from './camera.ts'
import { StreamSource, type StreamSourceOptions } from './stream.ts'

/** Frames of a clip. */
const FRAMES = 16

/** 48 × 48 pixels, 9 patches, 2 layers of width 48. */
export const SMALL: Config = configOf('mu', {
  width: 48,
  depth: 2,
  mlpDim: 192,
  numHeads: 4,
  lruWidth: 96,
  numClasses: LABELS.length,
  repSize: 96,
  imageSize: [48, 48],
  framesPerClip: FRAMES,
  poolType: 'gap',
})

/** Draws clips of all classes in turn. */
export function batchOf(
  source: StreamSource,
  count: number,
): { frames: { data: Uint8Array; shape: number[] }; targets: number[] } {
  const streams = Array.from({ length: count }, (_, i) => source.draw(FRAMES, i % LABELS.length))
  const size = streams[0]!.frames.length
  const data = new Uint8Array(count * size)
  for (const [i, { frames }] of streams.entries()) data.set(frames, i * size)
  const side = SMALL.imageSize[0]
  return {
    frames: { data, shape: [count, FRAMES, side, side, 3] },
    targets: streams.map(({ labels }) => labels[0]!),
  }
}

/** Draws clips of all classes, by default 500 that no training uses. */
export function heldOut(
  options: StreamSourceOptions,
  count: number = 500,
  seed: number = 4_000_000_000,
): Sample[] {
  const source = new StreamSource(seed, { ...options, perScene: 2 })
  const side = SMALL.imageSize[0]
  return Array.from({ length: count }, (_, i) => {
    const { frames, labels } = source.draw(FRAMES, i % LABELS.length)
    return { clip: { data: frames, shape: [FRAMES, side, side, 3] }, label: labels[0]! }
  })
}
