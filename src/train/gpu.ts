import shaders from '../../build/train/shaders.txt'
import { addShaders } from '../backend/webgpu/sources.ts'
import { WebGpuBackend } from '../backend/webgpu/webgpu.ts'
import type { Weight } from '../program/program.ts'

/** Adds the shaders of training. A call, because bundlers drop files that are imported for less. */
export function addTrainingShaders(): void {
  addShaders(shaders)
}

/**
 * Opens a GPU with the kernels of inference and of training. The device stays the caller's.
 * @throws TrecvitError if the weights do not fit
 * @example
 * const open = (weights) => openTrainingGpu(device, weights)
 * const trainer = await Trainer.create(config, parameters, { schedule, open })
 */
export function openTrainingGpu(
  device: GPUDevice,
  weights: readonly Weight[],
): Promise<WebGpuBackend> {
  addTrainingShaders()
  return WebGpuBackend.create(device, weights)
}
