/**
 * The golden models on the WebGPU of any runtime. Bundled by esbuild, this runs where vitest does not: in Deno and in pages.
 */
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.ts'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { recordModel } from '../../src/model/graph.ts'
import { inferConfig } from '../../src/model/infer.ts'
import { loadWeights } from '../../src/model/load.ts'
import { weightTable } from '../../src/model/weights.ts'

/** The golden models, and the frames after which their streams begin anew. */
const models = [
  { name: 'mu', given: { framesPerClip: 4 }, reset: 4, logits: 'stream/logits' },
  { name: 'small', given: { framesPerClip: 6 }, reset: Infinity, logits: 'continuous/logits' },
  { name: 'small_gap', given: { framesPerClip: 6, imageSize: [64, 64] }, reset: Infinity, logits: 'continuous/logits' },
] as const

/** How one model did. */
export interface Parity {
  readonly model: string
  /** Largest error of a logit in a stream, frame by frame, over 1e-4 of the largest logit; 1 at most if it is right. */
  readonly frames: number
  /** The same for whole chunks of as many frames as a clip has. */
  readonly chunks: number
  /** Milliseconds from the weights to the first answer, and for each frame after it. */
  readonly first: number
  readonly next: number
}

/** @param read contents of a file in test/goldens */
export async function parity(device: GPUDevice, read: (file: string) => Promise<Uint8Array>): Promise<Parity[]> {
  const results: Parity[] = []
  for (const { name, given, reset, logits } of models) {
    const arrays = await openCheckpoint(await read(`${name}_io.npz`))
    const get = async (array: string) => {
      const { shape } = arrays.tensors.get(array)!
      const values = new Float32Array(shape.reduce((size, side) => size * side, 1))
      await arrays.read(array, (part, at) => values.set(part, at))
      return { shape, values }
    }
    const { shape, values } = await get('video')
    const [, total = 0] = shape
    const pixels = Uint8Array.from(values)
    const want = (await get(logits)).values

    const checkpoint = await openCheckpoint(await read(`${name}.npz`))
    const config = inferConfig(checkpoint.name, checkpoint.tensors, { ...given })
    const start = performance.now()
    const backend = await WebGpuBackend.create(device, weightTable(config))
    await loadWeights(checkpoint, config, backend)
    let first = 0
    const run = async (t: number) => {
      const program = recordModel(config, { b: 1, t, pixels: 'u8', recent: 'all', encoded: false })
      const replay = await backend.prepare(program)
      const state = await backend.createState(program.states)
      const largest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      let error = 0
      for (let frame = 0; frame < total; frame += t) {
        if (frame % reset === 0) await state.clear()
        const size = pixels.length / total
        const outputs = await replay.run(state, frame % reset, pixels.subarray(frame * size, (frame + t) * size))
        first ||= performance.now() - start
        outputs['logits']!.forEach((value, index) => (error = Math.max(error, Math.abs(value - want[frame * config.numClasses + index]!))))
      }
      replay.dispose()
      state.dispose()
      return error / largest / 1e-4
    }
    const frames = await run(1)
    const next = (performance.now() - start - first) / (total - 1)
    results.push({ model: name, frames, chunks: await run(config.framesPerClip), first, next })
    backend.dispose()
  }
  return results
}
