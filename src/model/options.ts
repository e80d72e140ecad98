import type { MatrixDType } from '../backend/backend.ts'
import type { CpuOptions } from '../backend/wasm/open.ts'
import { describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { checkOptions, type OptionNames } from '../base/options.ts'
import type { Config } from './config.ts'

/**
 * Source of a model: a path or URL of an .npz or .safetensors file, its bytes, or a name. 'builtin'
 * ships with the package. 'k400' (547 MB, 400 actions) and 'mae' (533 MB, features only) are
 * DeepMind's weights, CC-BY 4.0. They are downloaded from their host the first time, and stored: in
 * the user's cache folder, or in the origin private file system of a page.
 */
export type ModelSource =
  | 'builtin'
  | 'k400'
  | 'mae'
  | (string & {})
  | URL
  | Blob
  | ArrayBuffer
  | Uint8Array

/** Options for loading a model. */
export interface LoadOptions extends CpuOptions {
  /**
   * Device to run on. 'auto' (default) uses a hardware GPU that passes a self-test, else the CPU.
   */
  readonly device?: 'auto' | 'webgpu' | 'wasm'
  /**
   * Number format of the matrices, by default that of the file. Sums are always float32. 'f16'
   * rounds matrices: the error is at most 1e-2 of the largest logit, and a GPU needs half the
   * memory. 'int8' quantises layer weights per output channel and activations per row: faster on
   * the CPU, a quarter of the memory, slightly less accurate.
   */
  readonly dtype?: MatrixDType
  /** WebGPU entry point, by default `navigator.gpu` or that of the package `webgpu`. */
  readonly gpu?: GPU
  /**
   * Matrix units of the GPU: 'off' by default, because they need an experimental feature of
   * WebGPU, `chromium-experimental-subgroup-matrix`. 'auto' uses them if the adapter has the
   * feature and the kernels pass a self-test; otherwise `device.reason` says why not. Without
   * `gpu`, 'auto' also starts the package `webgpu` with the toggles for it.
   */
  readonly gpuMatrix?: 'auto' | 'off'
  /**
   * Fields that the file does not determine (framesPerClip, imageSize), or numClasses 0 to ignore
   * its head.
   */
  readonly config?: Partial<Config>
  /** Names of the classes, in order. */
  readonly labels?: readonly string[]
  /** Called with the bytes of weights downloaded, then loaded, and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Aborts loading, with the reason of the signal. */
  readonly signal?: AbortSignal
}

/** Options for a run over many frames. */
export interface RunOptions {
  /** Called with the number of finished frames, and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Aborts the run, with the reason of the signal. */
  readonly signal?: AbortSignal
}

const LOAD_OPTIONS: OptionNames<LoadOptions> = {
  device: 1,
  dtype: 1,
  threads: 1,
  deterministic: 1,
  config: 1,
  labels: 1,
  onProgress: 1,
  signal: 1,
  gpu: 1,
  gpuMatrix: 1,
  workerUrl: 1,
  wasmModule: 1,
  experimentalRevectorize: 1,
}

export const RUN_OPTIONS: OptionNames<RunOptions> = { onProgress: 1, signal: 1 }

/**
 * Checks the options for loading a model.
 * @throws TrecvitError naming the option, what was expected and what came
 */
export function checkLoadOptions(options: LoadOptions): void {
  checkOptions('load', options, LOAD_OPTIONS)
  const { device = 'auto', dtype, gpuMatrix = 'off', threads } = options
  if (device !== 'auto' && device !== 'webgpu' && device !== 'wasm')
    throw new TrecvitError(`"device" expected 'auto', 'webgpu' or 'wasm', got ${describe(device)}`)
  if (dtype !== undefined && dtype !== 'f32' && dtype !== 'f16' && dtype !== 'int8')
    throw new TrecvitError(`"dtype" expected 'f32', 'f16' or 'int8', got ${describe(dtype)}`)
  if (gpuMatrix !== 'auto' && gpuMatrix !== 'off')
    throw new TrecvitError(`"gpuMatrix" expected 'auto' or 'off', got ${describe(gpuMatrix)}`)
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64))
    throw new TrecvitError(`"threads" expected an integer from 1 to 64, got ${describe(threads)}`)
}
