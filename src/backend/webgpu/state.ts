import {
  type Average,
  averageFrames,
  type State,
  sizeOf,
  statesFor,
} from '../../program/program.ts'
import type { StreamState } from '../backend.ts'
import { allocate } from './allocate.ts'
import type { Resources } from './resources.ts'
import type { Submits } from './submits.ts'
import { COPY_DST, UNIFORM } from './usage.ts'

/** The states of one stream, one buffer each. Kernels change them in place. */
export class WebGpuState implements StreamState {
  /** Group 1 of a kernel for each state, in order: the buffer #frame, and the state. */
  readonly groups: readonly GPUBindGroup[]
  readonly #device: GPUDevice
  readonly #submits: Submits
  readonly #bytes: readonly number[]
  readonly #buffers: readonly GPUBuffer[]
  /** Frames since the reset, u32; then frames of the window, or half-life in frames, f32. */
  readonly #frame: GPUBuffer

  private constructor(
    { device, submits, pipelines: { streamLayout: layout } }: Resources,
    bytes: readonly number[],
    buffers: readonly GPUBuffer[],
    averageFrames: number,
  ) {
    this.#device = device
    this.#submits = submits
    this.#bytes = bytes
    this.#buffers = buffers
    this.#frame = device.createBuffer({ label: 'frame', size: 8, usage: UNIFORM | COPY_DST })
    device.queue.writeBuffer(this.#frame, 4, Float32Array.of(averageFrames))
    this.groups = buffers.map((buffer) =>
      device.createBindGroup({
        layout,
        entries: [
          { binding: 0, resource: { buffer: this.#frame } },
          { binding: 1, resource: { buffer } },
        ],
      }),
    )
  }

  /** @throws TrecvitError if the states do not fit */
  static async create(
    resources: Resources,
    states: readonly State[],
    average: Average,
  ): Promise<WebGpuState> {
    const sized = statesFor(states, average)
    const bytes = sized.map(({ shape }) => 4 * sizeOf(shape))
    const buffers = await allocate(
      resources.device,
      'The state of a stream',
      sized.map(({ name }, index) => ({ name, bytes: bytes[index]! })),
      'a smaller batch',
    )
    return new WebGpuState(resources, bytes, buffers, averageFrames(average))
  }

  /** Sets the number of frames since the reset for the next submit. */
  setFrame(frame: number): void {
    this.#device.queue.writeBuffer(this.#frame, 0, Uint32Array.of(frame))
  }

  async read(): Promise<Float32Array[]> {
    const values = await this.#submits.run(
      this.#buffers.map((buffer, index) => ({ buffer, offset: 0, bytes: this.#bytes[index]! })),
      () => {},
    )
    return values.map((bytes) => new Float32Array(bytes))
  }

  async write(values: readonly Float32Array[]): Promise<void> {
    await this.#submits.run([], () => {
      this.#buffers.forEach((buffer, index) => {
        // Deno panics at an empty array. The past of a convolution with one tap is empty.
        if (values[index]!.length)
          this.#device.queue.writeBuffer(buffer, 0, values[index]! as Float32Array<ArrayBuffer>)
      })
    })
  }

  async clear(): Promise<void> {
    await this.#submits.run([], (encoder) => {
      for (const buffer of this.#buffers) encoder.clearBuffer(buffer)
    })
  }

  dispose(): void {
    for (const buffer of [...this.#buffers, this.#frame]) buffer.destroy()
  }
}
