import { adapterName } from '../../platform/gpu.ts'
import { addDescriptions } from '../../program/describe.ts'
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
import type { Chosen } from './matrix.ts'
import { Pipelines } from './pipelines.ts'
import { WebGpuReplay } from './replay.ts'
import type { Resources } from './resources.ts'
import { addShaders } from './sources.ts'

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

  private constructor(resources: Resources, { toggles = null, reason = null }: Opened) {
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
    const { WeightBuffers } = await import('./weightBuffers.ts')
    const buffers = await WeightBuffers.create(
      device,
      weights,
      dtype,
      (weight) => matrices?.spareOf(weight, dtype) ?? 0,
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
      weights: buffers,
    }
    return new WebGpuBackend(resources, opened)
  }

  write(...args: Parameters<Backend['write']>): void {
    this.#resources.weights.write(...args)
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
    const { submits, weights } = this.#resources
    weights.dispose()
    submits.dispose()
  }
}
