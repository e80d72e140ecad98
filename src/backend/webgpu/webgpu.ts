import type { Program, State, Weight } from '../../program/program.ts'
import type { Backend, Device, Replay, StreamState } from '../backend.ts'
import { allocate } from './allocate.ts'
import { quads, weightBytes } from './encode.ts'
import { WebGpuReplay } from './replay.ts'
import { WebGpuState } from './state.ts'
import { Submits } from './submits.ts'

/** Bytes of weights after which the queue is told to go on: until then implementations hold a copy of what was written. */
const FLUSH = 1 << 25

/** A GPU, through WebGPU, in float32. */
export class WebGpuBackend implements Backend {
  readonly device: Device
  readonly #device: GPUDevice
  readonly #submits: Submits
  readonly #weights: ReadonlyMap<string, GPUBuffer>
  /** What is bound where a step has no such input. */
  readonly #none: GPUBuffer
  #written = 0

  private constructor(device: GPUDevice, weights: ReadonlyMap<string, GPUBuffer>, none: GPUBuffer) {
    const { vendor, architecture, description } = device.adapterInfo
    this.device = { backend: 'webgpu', kernels: description || [vendor, architecture].filter(Boolean).join(' ') || 'unknown GPU', threads: 1, reason: null }
    this.#device = device
    this.#submits = new Submits(device)
    this.#weights = weights
    this.#none = none
  }

  /**
   * Takes memory for the weights, a buffer for each; they are zero until written. The device stays the caller's, to be shared and
   * destroyed.
   * @throws TrecvitError if the weights do not fit
   */
  static async create(device: GPUDevice, weights: readonly Weight[]): Promise<WebGpuBackend> {
    const [none, ...buffers] = await allocate(device, 'The weights', [{ name: 'none', bytes: 0 }, ...weights.map((weight) => ({ name: weight.name, bytes: weightBytes(weight) }))])
    return new WebGpuBackend(device, new Map(weights.map(({ name }, index) => [name, buffers[index]!])), none!)
  }

  /** Weights stay row-major, so values go where they belong without a copy: in one line if the part is as wide as the weight, else row by row. */
  write(weight: Weight, values: Float32Array, first: number, width: number, at: number): void {
    const { queue } = this.#device
    const buffer = this.#weights.get(weight.name)!
    const columns = quads(weight.columns)
    const line = width === columns ? Infinity : width
    for (let from = 0; from < values.length;) {
      const index = first + from
      const count = Math.min(line - (index % line), values.length - from)
      queue.writeBuffer(buffer, 4 * (Math.floor(index / line) * columns + at + (index % line)), values as Float32Array<ArrayBuffer>, from, count)
      from += count
    }
    this.#written += values.byteLength
    if (this.#written < FLUSH) return
    queue.submit([])
    this.#written = 0
  }

  prepare(program: Program): Promise<Replay> {
    return WebGpuReplay.create(this.#device, this.#submits, program, this.#weights, this.#none)
  }

  createState(states: readonly State[]): Promise<StreamState> {
    return WebGpuState.create(this.#device, this.#submits, states)
  }

  /** Frees the weights; the device lives on. */
  dispose(): void {
    for (const buffer of [...this.#weights.values(), this.#none]) buffer.destroy()
    this.#submits.dispose()
  }
}
