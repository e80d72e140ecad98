import { nameOf, OPTIONAL } from '../../platform/gpu.ts'
import {
  type Average,
  averageFrames,
  type Program,
  type State,
  statesFor,
  type Weight,
} from '../../program/program.ts'
import type { Backend, Device, MatrixDType, Replay, StreamState } from '../backend.ts'
import { allocate } from './allocate.ts'
import { elementBytes, quads, weightBytes } from './encode.ts'
import { Halves } from './halves.ts'
import { WebGpuReplay } from './replay.ts'
import { WebGpuState } from './state.ts'
import { Submits } from './submits.ts'

/**
 * Bytes of weights after which the queue is told to go on: until then implementations hold a copy
 * of what was written.
 */
const FLUSH = 1 << 25

/** A GPU, through WebGPU. It computes in float32; matrices may be kept in float16. */
export class WebGpuBackend implements Backend {
  readonly device: Device
  failure: string | null = null
  readonly #device: GPUDevice
  readonly #dtype: MatrixDType
  readonly #submits: Submits
  readonly #weights: ReadonlyMap<string, GPUBuffer>
  /** What is bound where a step has no such input. */
  readonly #none: GPUBuffer
  readonly #halves: Halves
  #written = 0

  private constructor(
    device: GPUDevice,
    dtype: MatrixDType,
    weights: ReadonlyMap<string, GPUBuffer>,
    none: GPUBuffer,
    toggles: readonly string[] | null,
  ) {
    const { vendor, architecture, description } = device.adapterInfo
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits
    this.device = {
      backend: 'webgpu',
      kernels: nameOf(device.adapterInfo),
      threads: 1,
      reason: null,
      gpu: {
        vendor,
        architecture,
        description,
        toggles,
        features: OPTIONAL.filter((feature) => device.features.has(feature)),
        limits: { maxBufferSize, maxStorageBufferBindingSize },
      },
    }
    void device.lost.then(({ message, reason }) => (this.failure ??= message || reason))
    this.#device = device
    this.#dtype = dtype
    this.#halves = new Halves(device.queue)
    this.#submits = new Submits(device)
    this.#weights = weights
    this.#none = none
  }

  /**
   * Takes memory for the weights, a buffer for each; they are zero until written. The device stays
   * the caller's, to be shared and destroyed.
   * @param dtype of the matrices among the weights
   * @param toggles that the device's entry point was made with, if that is known
   * @throws TrecvitError if the weights do not fit
   */
  static async create(
    device: GPUDevice,
    weights: readonly Weight[],
    dtype: MatrixDType = 'f32',
    toggles: readonly string[] | null = null,
  ): Promise<WebGpuBackend> {
    const wanted = weights.map((weight) => ({
      name: weight.name,
      bytes: weightBytes(weight, dtype),
    }))
    const [none, ...buffers] = await allocate(
      device,
      'The weights',
      [{ name: 'none', bytes: 0 }, ...wanted],
      dtype === 'f32' ? "dtype 'f16', which halves them, or a smaller model" : 'a smaller model',
    )
    return new WebGpuBackend(
      device,
      dtype,
      new Map(weights.map(({ name }, index) => [name, buffers[index]!])),
      none!,
      toggles,
    )
  }

  /**
   * Weights stay row-major, so values go where they belong without a copy: in one line if the part
   * is as wide as the weight, else row by row.
   */
  write(weight: Weight, values: Float32Array, first: number, width: number, at: number): void {
    const buffer = this.#weights.get(weight.name)!
    const half = elementBytes(weight, this.#dtype) === 2
    const columns = quads(weight.columns)
    const line = width === columns ? Infinity : width
    for (let from = 0; from < values.length; ) {
      const index = first + from
      const count = Math.min(line - (index % line), values.length - from)
      const to = Math.floor(index / line) * columns + at + (index % line)
      if (half) this.#halves.write(buffer, to, values.subarray(from, from + count))
      else
        this.#device.queue.writeBuffer(
          buffer,
          4 * to,
          values as Float32Array<ArrayBuffer>,
          from,
          count,
        )
      from += count
    }
    this.#written += values.byteLength
    if (this.#written < FLUSH) return
    this.#device.queue.submit([])
    this.#written = 0
  }

  prepare(program: Program): Promise<Replay> {
    return WebGpuReplay.create(
      this.#device,
      this.#submits,
      program,
      this.#weights,
      this.#none,
      this.#dtype,
    )
  }

  async createState(states: readonly State[], average: Average = 'all'): Promise<StreamState> {
    const sized = statesFor(states, average)
    return WebGpuState.create(this.#device, this.#submits, sized, averageFrames(average))
  }

  /** Frees the weights; the device lives on. */
  dispose(): void {
    for (const buffer of [...this.#weights.values(), this.#none]) buffer.destroy()
    this.#submits.dispose()
  }
}
