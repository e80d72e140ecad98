import type { Backend } from '../backend/backend.ts'
import { testBuild } from '../backend/selfTest.ts'
import { chooseBuild } from '../backend/wasm/builds.ts'
import { cpuCapabilities } from '../backend/wasm/capabilities.ts'
import { configOf, type EncoderConfig } from '../model/config.ts'
import { smallPrograms } from '../model/smallModel.ts'
import type { Weight } from '../program/program.ts'
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
  const { copied, derived, encoder } = training.weights
  const { open = (all) => openCpu(all, encoder, options) } = options
  const { maxBytes = options.open ? Infinity : CPU_BYTES } = options
  const all = deviceWeights(training)
  const bytes = bytesOfWeights(all)
  checkWeights(bytes, maxBytes)
  const backend = await open(all)
  writeParameters(backend, [...copied, ...derived], parameters)
  if (training.averages) writeParameters(backend, averagesOf(training), parameters)
  return new TrainingDevice(backend, maxBytes, bytes)
}

/**
 * Opens the CPU with the fastest build that is allowed. The kernels of training have no
 * instructions that those of inference do not have, so its self-test decides.
 */
async function openCpu(
  weights: readonly Weight[],
  { classToken, ...encoder }: EncoderConfig,
  { deterministic = true, ...options }: OptimizerOptions,
): Promise<Backend> {
  // Callers can pass only the deterministic build as a compiled module.
  if (options.wasmModule) return openTrainingCpu(weights, 'simd', options)
  const config = { ...configOf('Ti'), ...encoder, poolType: classToken ? 'tok' : 'gap' } as const
  const { build } = await chooseBuild({ ...options, deterministic }, cpuCapabilities(), (build) =>
    testBuild(smallPrograms(config, 'f32'), build),
  )
  return openTrainingCpu(weights, build, options)
}
