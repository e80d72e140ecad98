import { openTrainingCpu } from './cpu.ts'
import { TrainingDevice } from './device.ts'
import { bytesOfWeights, CPU_BYTES, checkWeights } from './memory.ts'
import type { OptimizerOptions } from './options.ts'
import {
  averagesOf,
  deviceWeights,
  type Parameters,
  type Training,
  writeParameters,
} from './weights.ts'

/**
 * Opens the device of a trainer and writes the parameters.
 * @throws TrecvitError if the weights do not fit
 */
export async function openDevice(
  training: Training,
  parameters: Parameters,
  options: OptimizerOptions,
): Promise<TrainingDevice> {
  const { open = (all) => openTrainingCpu(all, 'simd', options) } = options
  const { maxBytes = options.open ? Infinity : CPU_BYTES } = options
  const all = deviceWeights(training)
  const bytes = bytesOfWeights(all)
  checkWeights(bytes, maxBytes)
  const backend = await open(all)
  const { copied, derived } = training.weights
  writeParameters(backend, [...copied, ...derived], parameters)
  if (training.averages) writeParameters(backend, averagesOf(training), parameters)
  return new TrainingDevice(backend, maxBytes, bytes)
}
