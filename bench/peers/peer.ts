import type { InferenceSession, Tensor } from 'onnxruntime-common'
import { sizeOf } from '../../src/program/program.ts'
import type { Step } from '../onnx/step.ts'

/** onnxruntime in WebAssembly, or as a native addon of Node. */
export type Runtime = 'onnxruntime-web' | 'onnxruntime-node'

/** A stream in onnxruntime: outputs become the inputs of the next frame as the tensors that they are, without a copy on this side. */
export class Peer {
  /** Of onnxruntime. */
  readonly version: string
  readonly #session: InferenceSession
  readonly #tensor: (values: Float32Array, shape: readonly number[]) => Tensor
  readonly #shape: Step['pixels']
  readonly #links: Step['carried']
  #carried: Record<string, Tensor>
  #frame = 0

  private constructor(version: string, session: InferenceSession, tensor: (values: Float32Array, shape: readonly number[]) => Tensor, { pixels, carried }: Step) {
    this.version = version
    this.#session = session
    this.#tensor = tensor
    this.#shape = pixels
    this.#links = carried
    this.#carried = Object.fromEntries(carried.map(({ input, shape }) => [input, tensor(new Float32Array(sizeOf(shape)), shape)]))
  }

  /** Loads the model, with all graph optimisations, on the CPU. */
  static async create(runtime: Runtime, step: Step, threads: number): Promise<Peer> {
    const web = runtime === 'onnxruntime-web'
    const { env, InferenceSession, Tensor } = web ? await import('onnxruntime-web') : await import('onnxruntime-node')
    env.wasm.numThreads = threads
    const session = await InferenceSession.create(step.bytes, {
      executionProviders: [web ? 'wasm' : 'cpu'], graphOptimizationLevel: 'all', ...(!web && { intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential' }),
    })
    return new Peer(env.versions[web ? 'web' : 'node'] ?? 'unknown', session, (values, shape) => new Tensor('float32', values, shape), step)
  }

  /** The logits after the next frame, pixels [H, W, 3] 0..1. */
  async advance(pixels: Float32Array): Promise<Float32Array> {
    const before = this.#carried
    const outputs = await this.#session.run({
      pixels: this.#tensor(pixels, this.#shape),
      first: this.#tensor(Float32Array.of(this.#frame === 0 ? 1 : 0), [1]),
      count: this.#tensor(Float32Array.of(++this.#frame), [1]),
      ...before,
    })
    this.#carried = Object.fromEntries(this.#links.map(({ input, from }) => [input, outputs[from] ?? before[from]!]))
    return outputs['logits']!.data as Float32Array
  }
}
