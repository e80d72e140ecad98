import type { GpuCapabilities } from '../backend.ts'
import { capabilitiesOf } from './capabilities.ts'
import type { Call } from './encode.ts'
import { sourceOf } from './sources.ts'
import { COMPUTE } from './usage.ts'

interface Layout {
  /** Layout of group 0: parameters, outputs, inputs, weights. */
  readonly step: GPUBindGroupLayout
  readonly pipeline: GPUPipelineLayout
}

/**
 * The pipelines of a device, each made once. Group 0 of a kernel belongs to a step of a program. A
 * kernel with a state has a group 1 that belongs to a slab: the videos of the batch, and the states
 * of all its streams. So neither group is made again for the other.
 */
export class Pipelines {
  /** Capabilities of the device, which decide the variants of kernels. */
  readonly capabilities: GpuCapabilities
  readonly #device: GPUDevice
  readonly #modules = new Map<string, GPUShaderModule>()
  readonly #layouts = new Map<string, Layout>()
  /** Layouts of group 1, by the number of states. */
  readonly #streamLayouts: GPUBindGroupLayout[] = []
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>()

  private constructor(device: GPUDevice, wgsl: readonly string[]) {
    this.#device = device
    this.capabilities = capabilitiesOf(device, wgsl)
  }

  /**
   * Returns the pipelines of a device.
   * @param wgsl language features of its entry point that kernels may use; the first call decides
   */
  static of(device: GPUDevice, wgsl: readonly string[] = []): Pipelines {
    let found = pipelines.get(device)
    if (!found) pipelines.set(device, (found = new Pipelines(device, wgsl)))
    return found
  }

  /** Returns the layout of group 1 of a kernel with so many states. */
  readonly streamLayout = (states: number): GPUBindGroupLayout =>
    (this.#streamLayouts[states] ??= layoutOf(this.#device, [
      'read-only-storage',
      ...new Array<GPUBufferBindingType>(states).fill('storage'),
    ]))

  /** Returns the layout of group 0 of a call. */
  layout(call: Call): GPUBindGroupLayout {
    return this.#layout(call).step
  }

  /**
   * Returns the pipeline of a call.
   * @throws Error with the message of the driver if it refuses the kernel
   */
  pipeline(call: Call): Promise<GPUComputePipeline> {
    const { op, dtype, entry, constants, matrix } = call
    const key = JSON.stringify([op, dtype, entry, constants, matrix?.head])
    let found = this.#pipelines.get(key)
    if (!found) {
      const source = `${op} ${dtype} ${matrix?.head}`
      let module = this.#modules.get(source)
      if (!module)
        this.#modules.set(
          source,
          (module = this.#device.createShaderModule({
            label: op,
            code: sourceOf(op, this.capabilities.features, dtype, matrix),
          })),
        )
      found = this.#device.createComputePipelineAsync({
        label: `${op}/${entry}`,
        layout: this.#layout(call).pipeline,
        compute: { module, entryPoint: entry, constants },
      })
      this.#pipelines.set(key, found)
    }
    return found
  }

  #layout({ op, bindings, written, states }: Call): Layout {
    let found = this.#layouts.get(op)
    if (!found) {
      const step = layoutOf(this.#device, [
        'uniform',
        ...bindings.map((bound) => (written.includes(bound) ? 'storage' : 'read-only-storage')),
      ])
      const pipeline = this.#device.createPipelineLayout({
        bindGroupLayouts: states.length ? [step, this.streamLayout(states.length)] : [step],
      })
      this.#layouts.set(op, (found = { step, pipeline }))
    }
    return found
  }
}

/** Models on the same device share its pipelines. They are freed with the device. */
const pipelines = new WeakMap<GPUDevice, Pipelines>()

function layoutOf(device: GPUDevice, types: readonly GPUBufferBindingType[]): GPUBindGroupLayout {
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
  })
}
