import { relevantOf } from '../../platform/gpu.ts'
import type { GpuCapabilities } from '../backend.ts'

/** Adapter info in Chromium, with the shapes of its experimental subgroup matrices. */
type Info = GPUAdapterInfo & { readonly subgroupMatrixConfigs?: GpuCapabilities['matrixShapes'] }

/**
 * Describes a device. The record decides the variants of kernels: the parts of a shader
 * (sources.ts), its constants and its entry point (program/ops/products.ts).
 * @param wgsl language features, which belong to the entry point
 */
export function capabilitiesOf(device: GPUDevice, wgsl: readonly string[]): GpuCapabilities {
  const info: Info = device.adapterInfo
  const relevant = relevantOf(device)
  const { vendor, architecture, description, subgroupMinSize: least, subgroupMaxSize: most } = info
  return {
    vendor,
    architecture,
    description,
    ...relevant,
    features: [...relevant.features, ...wgsl],
    subgroupSizes: least && most ? [least, most] : null,
    matrixShapes: info.subgroupMatrixConfigs ?? [],
  }
}
