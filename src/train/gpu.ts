import shaders from '../../build/train/shaders.txt'
import { addShaders } from '../backend/webgpu/sources.ts'
import { WebGpuBackend } from '../backend/webgpu/webgpu.ts'
import type { Weight } from '../program/program.ts'

addShaders(shaders)

/**
 * A GPU with the kernels of inference and of training. The device stays the caller's.
 * @throws TrecvitError if the weights do not fit
 */
export function openTrainingGpu(
  device: GPUDevice,
  weights: readonly Weight[],
): Promise<WebGpuBackend> {
  return WebGpuBackend.create(device, weights)
}
