import { messageOf, TrecvitError } from '../base/error.ts'
import { adapterName, openGpu } from '../platform/gpu.ts'
import type { Weight } from '../program/program.ts'
import type { Backend, MatrixDType } from './backend.ts'
import { Engine } from './engine.ts'
import { GPU_BOUND, type SmallPrograms, selfTest, testBuild } from './selfTest.ts'
import { chooseBuild } from './wasm/builds.ts'
import { cpuCapabilities } from './wasm/capabilities.ts'
import { type CpuOptions, openMachine } from './wasm/open.ts'
import { WasmBackend } from './wasm/wasm.ts'
import type { Chosen } from './webgpu/matrix.ts'

/** How the engines of a model are opened. */
export interface EngineOptions {
  readonly weights: readonly Weight[]
  /** Number format of the matrices on the GPU. The CPU uses their float32 values. */
  readonly dtype: MatrixDType
  /** Writes the weights. Rejects with the reason of the signal if it is aborted. */
  readonly fill: (backend: Backend, signal: AbortSignal) => Promise<void>
  /** Programs of the self-test. */
  readonly smallPrograms: SmallPrograms
  readonly cpu?: CpuOptions
  readonly gpu?: GPU | undefined
  /** Use matrix units of the GPU, if it has some that pass a self-test. */
  readonly matrices?: boolean
}

/**
 * Opens the CPU: chooses the build of the kernels, starts the threads and writes the weights.
 * @param fallback why the CPU is used instead of the GPU, or null
 * @throws TrecvitError if the runtime does not support WebAssembly SIMD, or the weights do not fit
 */
export async function openCpuEngine(
  { weights, fill, smallPrograms, cpu = {} }: EngineOptions,
  fallback: string | null,
  signal: AbortSignal,
): Promise<Engine> {
  // Callers can pass only the deterministic build as a compiled module.
  const { build, reason: otherBuild } = cpu.wasmModule
    ? ({ build: 'simd', reason: null } as const)
    : await chooseBuild(cpu, cpuCapabilities(), (build) => testBuild(smallPrograms, build))
  const { machine, reason: oneThread } = await openMachine(build, cpu)
  const reasons = [fallback, otherBuild, oneThread].filter((one) => one !== null)
  const backend = await WasmBackend.create(weights, machine, build, reasons.join('; ') || null)
  try {
    await fill(backend, signal)
  } catch (error) {
    backend.dispose()
    throw error
  }
  return new Engine(backend)
}

/**
 * Opens a GPU: tests its kernels and writes the weights.
 * @param hardwareOnly accept hardware adapters only
 * @throws TrecvitError if there is none, it fails the self-test, or the weights do not fit
 */
export async function openGpuEngine(
  { weights, dtype, fill, smallPrograms, gpu, matrices }: EngineOptions,
  hardwareOnly: boolean,
  signal: AbortSignal,
): Promise<Engine> {
  const matrix = matrices ? await import('./webgpu/matrix.ts') : undefined
  const opened = await openGpu(gpu, matrix?.NEEDED)
  if ('reason' in opened) throw new TrecvitError(`There is no WebGPU device: ${opened.reason}`)
  const { device, isSoftware } = opened
  let backend: Backend | undefined
  try {
    if (hardwareOnly && isSoftware)
      throw new TrecvitError('it is a software renderer; the WebAssembly backend is faster')
    const { WebGpuBackend } = await import('./webgpu/webgpu.ts')
    const test = (bound: number, chosen?: Chosen) =>
      selfTest(smallPrograms, bound, (weights) =>
        WebGpuBackend.create(device, weights, dtype, { ...opened, ...chosen }),
      )
    const wrong = await test(GPU_BOUND)
    if (wrong) throw new TrecvitError(`it failed the self-test: ${wrong}`)
    const chosen = await matrix?.choose(device, opened.kept[1], dtype, test)
    backend = await WebGpuBackend.create(device, weights, dtype, { ...opened, ...chosen })
    await fill(backend, signal)
    return new Engine(backend, opened)
  } catch (error) {
    backend?.dispose()
    device.destroy()
    const why = messageOf(error)
    throw new TrecvitError(
      `The WebGPU device "${adapterName(device.adapterInfo)}" is not used: ${why}`,
      { cause: error },
    )
  }
}
