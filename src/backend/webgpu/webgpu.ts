import { adapterName } from '../../platform/gpu.ts'
import { addDescriptions } from '../../program/describe.ts'
import { quads } from '../../program/ops/launch.ts'
import type { Average, Program, State, Weight } from '../../program/program.ts'
import type {
  Backend,
  Device,
  GpuUse,
  MatrixDType,
  PictureReader,
  PixelsSize,
  Replay,
  StreamState,
} from '../backend.ts'
import { allocate } from './allocate.ts'
import { elementBytes, weightBytes } from './encode.ts'
import type { Halves } from './halves.ts'
import type { Chosen } from './matrix.ts'
import { Pipelines } from './pipelines.ts'
import { WebGpuReplay } from './replay.ts'
import type { Resources } from './resources.ts'
import { addShaders } from './sources.ts'

/**
 * Bytes of weights after which the queue is submitted. Until then implementations hold a copy of
 * the written values.
 */
const FLUSH = 1 << 25

/** How a device was opened. */
interface Opened extends Partial<GpuUse>, Partial<Chosen> {
  /** Features of WGSL that kernels may use. */
  readonly wgsl?: readonly string[]
}

/** A GPU, through WebGPU. It computes in float32. Matrices may be stored in float16. */
export class WebGpuBackend implements Backend {
  readonly device: Device
  lossReason: string | null = null
  readonly #resources: Resources
  readonly #halves: Halves | undefined
  #written = 0

  private constructor(
    resources: Resources,
    { toggles = null, reason = null }: Opened,
    halves: Halves | undefined,
  ) {
    const { device, pipelines, matrices } = resources
    const name = adapterName(device.adapterInfo)
    this.device = {
      backend: 'webgpu',
      kernels: matrices ? `${name}, ${matrices.name}` : name,
      threads: 1,
      reason,
      gpu: { ...pipelines.capabilities, ...matrices?.capabilities, toggles },
    }
    void device.lost.then(({ message, reason }) => (this.lossReason ??= message || reason))
    this.#resources = resources
    this.#halves = halves
  }

  /**
   * Allocates a buffer for each weight; they are zero until written. The caller still owns the
   * device, and may share it.
   * @param dtype number format of the matrices among the weights
   * @param opened how the device was opened, and which matrix units are used
   * @throws TrecvitError if the weights do not fit
   */
  static async create(
    device: GPUDevice,
    weights: readonly Weight[],
    dtype: MatrixDType = 'f32',
    opened: Opened = {},
  ): Promise<WebGpuBackend> {
    const { wgsl = [], matrices } = opened
    // A part of the code that the CPU does not need, nor every model on a GPU.
    const { Streams } = await import('./streams.ts')
    const pipelines = Pipelines.of(device, wgsl)
    const streams = await Streams.open({ device, layout: pipelines.streamLayout })
    const fusions = await import('./fusions.ts')
    addShaders(fusions.shaders)
    addDescriptions(fusions.operations)
    const int8 = weights.some(({ kind }) => kind === 'int8') ? await import('./int8.ts') : undefined
    const halves =
      dtype === 'f16' ? new (await import('./halves.ts')).Halves(device.queue) : undefined
    const wanted = weights.map((weight) => ({
      name: weight.name,
      bytes: weightBytes(weight, dtype) + (matrices?.spareOf(weight, dtype) ?? 0),
    }))
    const [none, ...buffers] = await allocate(
      device,
      'The weights',
      [{ name: 'none', bytes: 0 }, ...wanted],
      dtype === 'f32' ? "dtype 'f16', which halves them, or a smaller model" : 'a smaller model',
    )
    const resources: Resources = {
      device,
      pipelines,
      submits: streams.submits,
      streams,
      dtype,
      int8,
      fusions,
      matrices,
      weights: new Map(weights.map(({ name }, index) => [name, buffers[index]!])),
      none: none!,
    }
    return new WebGpuBackend(resources, opened, halves)
  }

  /**
   * Writes values without a copy, because weights stay row-major: in one call if the part is as
   * wide as the weight, else row by row.
   */
  write(
    weight: Weight,
    given: Float32Array | Int8Array,
    first: number,
    width: number,
    at: number,
  ): void {
    const { device, dtype, weights, int8 } = this.#resources
    const values = given instanceof Int8Array ? int8!.packed(given, width) : given
    const buffer = weights.get(weight.name)!
    const half = elementBytes(weight, dtype) === 2
    const columns = quads(weight.columns)
    const line = width === columns ? Infinity : width
    for (let from = 0; from < values.length; ) {
      const index = first + from
      const count = Math.min(line - (index % line), values.length - from)
      const to = Math.floor(index / line) * columns + at + (index % line)
      if (half)
        this.#halves!.write(buffer, to, (values as Float32Array).subarray(from, from + count))
      else
        device.queue.writeBuffer(buffer, 4 * to, values as Float32Array<ArrayBuffer>, from, count)
      from += count
    }
    this.#written += values.byteLength
    if (this.#written < FLUSH) return
    device.queue.submit([])
    this.#written = 0
  }

  prepare(program: Program, room?: number): Promise<Replay> {
    return WebGpuReplay.create(this.#resources, program, room)
  }

  createState(states: readonly State[], average: Average = 'all'): Promise<StreamState> {
    return this.#resources.streams.createState(states, average)
  }

  pictureReader(size: PixelsSize): PictureReader | Promise<PictureReader> {
    return this.#resources.streams.pictureReader(this, size)
  }

  /** Frees the weights. The device is not destroyed. */
  dispose(): void {
    const { submits, weights, none } = this.#resources
    for (const buffer of [...weights.values(), none]) buffer.destroy()
    submits.dispose()
  }
}
