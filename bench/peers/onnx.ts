import { nextOf } from '../../src/onnx/context.ts'
import type { Graph } from '../../src/onnx/graph.ts'
import { sizeOf } from '../../src/program/program.ts'
import type { Peer } from './peer.ts'

/** A tensor of onnxruntime. */
interface Tensor {
  readonly data: unknown
}

type Tensors = Readonly<Record<string, Tensor>>

/** The part of onnxruntime-web and onnxruntime-node that is used here. */
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
 * Opens a stream in onnxruntime, in WebAssembly ("wasm") or as a native addon of Node ("cpu"), with
 * all graph optimisations. Outputs become the inputs of the next frame as the same tensors, without
 * a copy in JavaScript.
 */
export async function openOnnx(
  { env, InferenceSession, Tensor }: Ort,
  provider: 'wasm' | 'cpu',
  graph: Graph,
  threads: number,
): Promise<Peer> {
  env.wasm.numThreads = threads
  const session = await InferenceSession.create(graph.encode('bench').encode(), {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    ...(provider === 'cpu' && {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
    }),
  })
  const zeros = (shape: readonly number[]) => new Float32Array(sizeOf(shape))
  const states = graph.inputs.filter(({ name }) => name !== 'pixels')
  const { shape } = graph.inputs.find(({ name }) => name === 'pixels')!
  let inputs: Tensors = Object.fromEntries(
    states.map(({ name, shape }) => [name, new Tensor('float32', zeros(shape), shape)]),
  )
  return {
    version: (provider === 'wasm' ? env.versions.web : env.versions.node) ?? 'unknown',
    async advance(pixels) {
      const outputs = await session.run({
        ...inputs,
        pixels: new Tensor('float32', pixels, shape),
      })
      inputs = Object.fromEntries(states.map(({ name }) => [name, outputs[nextOf(name)]!]))
      return outputs['logits']!.data as Float32Array
    },
  }
}
