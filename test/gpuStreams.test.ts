/** Streams that share a GPU in any runtime, also in pages. */
import { describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { checkpointBytes, noise, randomCheckpoint } from '../src/bench/lib/weights.ts'
import { configOf, type Stream, TRecViT } from '../src/index.ts'
import { watchedGpu } from './faults.ts'
import { full, gpu } from './gpu.ts'

const STREAMS = 6
const COUNT = 8
const MATRICES = 'chromium-experimental-subgroup-matrix' as GPUFeatureName

const config = configOf('mu', { imageSize: [64, 64], repSize: 24, numClasses: 8 })
const bytes = checkpointBytes(randomCheckpoint(config, 5))
const random = noise(5)
const frames = Array.from({ length: STREAMS + COUNT }, () => ({
  data: Uint8Array.from({ length: 64 * 64 * 3 }, () => 128 + 127 * random()),
  shape: [64, 64, 3],
}))

/** Pushes frame `index` of a stream. */
async function push(stream: Stream, number: number, index: number): Promise<number[]> {
  const { frame, logits } = await stream.push(frames[number + index] as NdArray<Uint8Array>)
  return [frame, ...logits.data]
}

describe.skipIf(!gpu)('on a GPU', { tags: ['slow', 'gpu'], timeout: 240_000 }, () => {
  test('streams that push at once run as batches, and answer as each of them alone', async () => {
    const { now } = performance
    // On a busy machine a software GPU is slow, and a slow GPU gets small batches.
    performance.now = () => now.call(performance) / 100
    try {
      const { gpu: entry, sizes } = watchedGpu()
      await using model = await TRecViT.load(await bytes, { device: 'webgpu', gpu: entry })
      const open = () => Array.from({ length: STREAMS }, () => model.stream())
      const together = open()
      sizes.length = 0
      const answers = together.map(() => [] as Promise<number[]>[])
      for (let index = 0; index < COUNT; index++)
        together.forEach((stream, number) => answers[number]!.push(push(stream, number, index)))
      const got = await Promise.all(answers.map((own) => Promise.all(own)))
      expect(Math.max(...sizes)).toBeGreaterThan(1)
      const want: number[][][] = []
      for (const [number, stream] of open().entries()) {
        want.push([])
        for (let index = 0; index < COUNT; index++)
          want[number]!.push(await push(stream, number, index))
      }
      expect(got).toEqual(want)
    } finally {
      performance.now = now
    }
  })

  test.skipIf(full?.requiredFeatures && [...full.requiredFeatures].includes(MATRICES))(
    'matrix units that the device lacks are not used, and device.reason names the feature',
    async () => {
      const options = { device: 'webgpu', gpu: gpu!, gpuMatrix: 'auto' } as const
      await using model = await TRecViT.load(await bytes, options)
      expect(model.device.backend).toBe('webgpu')
      expect(model.device.reason).toMatch(
        /matrix units are not used: the device has no feature "[\w-]+"/,
      )
    },
  )
})
