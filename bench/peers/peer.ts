import { env, InferenceSession, Tensor } from 'onnxruntime-web'
import { sizeOf } from '../../src/program/program.ts'
import type { Step } from '../onnx/step.ts'

/** A stream in onnxruntime-web: outputs become the inputs of the next frame as the tensors that they are, without a copy on this side. */
export class Peer {
  readonly #session: InferenceSession
  readonly #shape: Step['pixels']
  readonly #links: Step['carried']
  #carried: Record<string, Tensor>
  #frame = 0

  private constructor(session: InferenceSession, { pixels, carried }: Step) {
    this.#session = session
    this.#shape = pixels
    this.#links = carried
    this.#carried = Object.fromEntries(carried.map(({ input, shape }) => [input, tensor(new Float32Array(sizeOf(shape)), shape)]))
  }

  /** Loads the model, with all graph optimisations, on the CPU. */
  static async create(step: Step, threads: number): Promise<Peer> {
    env.wasm.numThreads = threads
    return new Peer(await InferenceSession.create(step.bytes, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }), step)
  }

  /** The logits after the next frame, pixels [H, W, 3] 0..1. */
  async advance(pixels: Float32Array): Promise<Float32Array> {
    const before = this.#carried
    const outputs = await this.#session.run({
      pixels: tensor(pixels, this.#shape),
      first: tensor(Float32Array.of(this.#frame === 0 ? 1 : 0), [1]),
      count: tensor(Float32Array.of(++this.#frame), [1]),
      ...before,
    })
    this.#carried = Object.fromEntries(this.#links.map(({ input, from }) => [input, outputs[from] ?? before[from]!]))
    return outputs['logits']!.data as Float32Array
  }
}

function tensor(values: Float32Array, shape: readonly number[]): Tensor {
  return new Tensor('float32', values, shape)
}
