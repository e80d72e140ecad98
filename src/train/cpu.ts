import { type Binaries, type Build, compile } from '../backend/wasm/builds.ts'
import { cpuCapabilities } from '../backend/wasm/capabilities.ts'
import { type CpuOptions, openMachine } from '../backend/wasm/open.ts'
import { WasmBackend } from '../backend/wasm/wasm.ts'
import type { Weight } from '../program/program.ts'

/** Builds with the kernels of inference and of training. */
export const trainingBinaries: Binaries = {
  simd: () => import('../../build/train/trecvit.wasm'),
  relaxed: () => import('../../build/train/relaxed.wasm'),
  wide: () => import('../../build/train/wide.wasm'),
  'wide-relaxed': () => import('../../build/train/wide-relaxed.wasm'),
}

/**
 * Opens the CPU with the kernels of inference and of training.
 * @param build the deterministic one by default
 * @param options threads by default as many as inference takes; `wasmModule` is
 *   `trecvit/train.wasm`, compiled
 * @throws TrecvitError if the runtime does not support WebAssembly SIMD or the weights do not fit
 * @example
 * const open = (weights) => openTrainingCpu(weights, 'wide')
 * const trainer = await Trainer.create(config, parameters, { schedule, open })
 */
export async function openTrainingCpu(
  weights: readonly Weight[],
  build: Build = 'simd',
  options: CpuOptions = {},
): Promise<WasmBackend> {
  const { sharedMemory } = cpuCapabilities()
  const wasmModule = options.wasmModule ?? (await compile(build, sharedMemory, trainingBinaries))
  const { machine, reason } = await openMachine(build, { ...options, wasmModule })
  return WasmBackend.create(weights, machine, build, reason)
}
