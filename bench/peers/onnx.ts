import { sizeOf } from '../../src/program/program.ts'
import type { Step } from '../onnx/step.ts'
import type { Peer } from './peer.ts'

/** A tensor of onnxruntime. */
interface Tensor {
  readonly data: unknown
}

type Tensors = Readonly<Record<string, Tensor>>

/** What is used of onnxruntime-web and onnxruntime-node. */
export interface Ort {
  readonly env: {
    readonly wasm: { numThreads?: number; wasmPaths?: unknown }
    readonly versions: { readonly web?: string; readonly node?: string }
  }
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{ run(inputs: Tensors): Promise<Tensors> }>
  }
  readonly Tensor: new (type: 'float32', values: Float32Array, shape: readonly number[]) => Tensor
}

/**
 * A stream in onnxruntime, in WebAssembly ("wasm") or as a native addon of Node ("cpu"), with all
 * graph optimisations: outputs become the inputs of the next frame as the tensors that they are,
 * without a copy on this side.
 */
export async function openOnnx(
  { env, InferenceSession, Tensor }: Ort,
  provider: 'wasm' | 'cpu',
  { bytes, pixels: shape, carried: links }: Step,
  threads: number,
): Promise<Peer> {
  env.wasm.numThreads = threads
  const session = await InferenceSession.create(bytes, {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    ...(provider === 'cpu' && {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
    }),
  })
  const tensor = (values: Float32Array, shape: readonly number[]) =>
    new Tensor('float32', values, shape)
  let carried: Tensors = Object.fromEntries(
    links.map(({ input, shape }) => [input, tensor(new Float32Array(sizeOf(shape)), shape)]),
  )
  let frame = 0
  return {
    version: (provider === 'wasm' ? env.versions.web : env.versions.node) ?? 'unknown',
    async advance(pixels) {
      const before = carried
      const outputs = await session.run({
        pixels: tensor(pixels, shape),
        first: tensor(Float32Array.of(frame === 0 ? 1 : 0), [1]),
        count: tensor(Float32Array.of(++frame), [1]),
        ...before,
      })
      carried = Object.fromEntries(
        links.map(({ input, from }) => [input, outputs[from] ?? before[from]!]),
      )
      return outputs['logits']!.data as Float32Array
    },
  }
}
