import { planSlots } from '../../program/plan.ts'
import {
  type Buffer,
  columnsOf,
  type Program,
  rowsOf,
  sizeOf,
  type Tensor,
} from '../../program/program.ts'
import { type GpuInputs, isOnGpu } from '../backend.ts'
import { allocate, largestBuffer } from './allocate.ts'
import type { Span } from './submits.ts'

/**
 * The tensors of a program on the GPU, in a buffer for each slot of the plan. One buffer for all is
 * not possible: WebGPU forbids a dispatch to bind a buffer for reading and for writing, whatever
 * the offsets, and a binding may not exceed 128 MiB. A buffer is bound whole; kernels get the
 * offset and strides of the tensor.
 */
export class Activations {
  readonly #device: GPUDevice
  readonly #program: Program
  readonly #slots: readonly GPUBuffer[]
  readonly #slotOf: ReadonlyMap<Buffer, number>

  private constructor(
    device: GPUDevice,
    program: Program,
    slots: readonly GPUBuffer[],
    slotOf: ReadonlyMap<Buffer, number>,
  ) {
    this.#device = device
    this.#program = program
    this.#slots = slots
    this.#slotOf = slotOf
  }

  /** @throws TrecvitError if they do not fit */
  static async create(device: GPUDevice, program: Program): Promise<Activations> {
    const { of, bytes } = planSlots(program)
    const names: string[] = []
    for (const [{ name }, slot] of [...of]) names[slot] ??= name
    // All sizes are proportional to the frames, so the largest one tells how many frames fit.
    const count = program.b * program.t
    const frames = Math.floor((count * largestBuffer(device)) / Math.max(...bytes))
    const fewer = Math.min(frames, count - 1)
    const slots = await allocate(
      device,
      `The activations of ${count} frames`,
      bytes.map((size, slot) => ({ name: names[slot]!, bytes: size })),
      fewer > 0
        ? `at most ${fewer} frames at once (batch size times frames of a chunk)`
        : 'a smaller model',
    )
    return new Activations(device, program, slots, of)
  }

  bufferOf({ buffer }: Tensor): GPUBuffer {
    return this.#slots[this.#slotOf.get(buffer)!]!
  }

  /** Returns the bytes from the first element of a tensor to its last. */
  spanOf(tensor: Tensor): Span {
    return {
      buffer: this.bufferOf(tensor),
      offset: 4 * tensor.offset,
      bytes: 4 * ((rowsOf(tensor) - 1) * tensor.stride + columnsOf(tensor)),
    }
  }

  /**
   * Writes the inputs. Bytes are written in words of four.
   * @param encoder copies those that are on the GPU
   */
  write(encoder: GPUCommandEncoder, inputs: GpuInputs): void {
    const { queue } = this.#device
    for (const [name, tensor] of Object.entries(this.#program.inputs)) {
      const input = inputs[name]!
      const to = this.bufferOf(tensor)
      if (isOnGpu(input)) {
        const words = Math.ceil(sizeOf(tensor.shape) / 4)
        encoder.copyBufferToBuffer(input.buffer, 0, to, 0, 4 * words)
        continue
      }
      const { buffer, byteOffset, byteLength } = input
      const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
      const whole = byteLength - (byteLength % 4)
      queue.writeBuffer(to, 0, bytes, 0, whole)
      if (whole < byteLength) {
        const rest = Uint8Array.of(...bytes.subarray(whole), 0, 0, 0)
        queue.writeBuffer(to, whole, rest.subarray(0, 4))
      }
    }
  }

  dispose(): void {
    for (const buffer of this.#slots) buffer.destroy()
  }
}
