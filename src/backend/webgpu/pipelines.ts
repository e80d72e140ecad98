import type { Op } from '../../program/program.ts'
import type { GpuCapabilities } from '../backend.ts'
import { capabilitiesOf } from './capabilities.ts'
import type { Call } from './encode.ts'
import { sourceOf } from './sources.ts'
import { COMPUTE } from './usage.ts'

interface Layout {
  /** Group 0: parameters, outputs, then what is read. */
  readonly step: GPUBindGroupLayout
  readonly pipeline: GPUPipelineLayout
}

/**
 * The pipelines of a device, each made once. A kernel gets one group with what belongs to a step of
 * a program and, if it has a state, a second with what belongs to a stream (frames since its reset,
 * and the state), so that neither has to be made anew for the other.
 */
export class Pipelines {
  /** What the variants of kernels are chosen by. */
  readonly capabilities: GpuCapabilities
  /** Group 1. */
  readonly streamLayout: GPUBindGroupLayout
  readonly #device: GPUDevice
  readonly #modules = new Map<string, GPUShaderModule>()
  readonly #layouts = new Map<Op, Layout>()
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>()

  private constructor(device: GPUDevice) {
    this.#device = device
    this.capabilities = capabilitiesOf(device)
    this.streamLayout = layoutOf(device, ['uniform', 'storage'])
  }

  /** Those of this device. */
  static of(device: GPUDevice): Pipelines {
    let found = pipelines.get(device)
    if (!found) pipelines.set(device, (found = new Pipelines(device)))
    return found
  }

  /** Layout of group 0 of a call. */
  layout(call: Call): GPUBindGroupLayout {
    return this.#layout(call).step
  }

  /** @throws Error with the words of the driver if it refuses the kernel */
  pipeline(call: Call): Promise<GPUComputePipeline> {
    const { op, dtype, entry, constants } = call
    const key = JSON.stringify([op, dtype, entry, constants])
    let found = this.#pipelines.get(key)
    if (!found) {
      const source = `${op} ${dtype}`
      let module = this.#modules.get(source)
      if (!module)
        this.#modules.set(
          source,
          (module = this.#device.createShaderModule({
            label: op,
            code: sourceOf(op, this.capabilities.features.includes('subgroups'), dtype),
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

  #layout({ op, bindings, written, state }: Call): Layout {
    let found = this.#layouts.get(op)
    if (!found) {
      const step = layoutOf(this.#device, [
        'uniform',
        ...bindings.map((_, index) => (index < written ? 'storage' : 'read-only-storage')),
      ])
      const pipeline = this.#device.createPipelineLayout({
        bindGroupLayouts: state ? [step, this.streamLayout] : [step],
      })
      this.#layouts.set(op, (found = { step, pipeline }))
    }
    return found
  }
}

/** Models on the same device share its pipelines; they go with the device. */
const pipelines = new WeakMap<GPUDevice, Pipelines>()

function layoutOf(device: GPUDevice, types: readonly GPUBufferBindingType[]): GPUBindGroupLayout {
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
  })
}
