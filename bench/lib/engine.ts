import type { Build } from '../../src/backend/wasm/builds.ts'
import { openMachine } from '../../src/backend/wasm/open.ts'
import { WasmBackend } from '../../src/backend/wasm/wasm.ts'
import type { Backend, Device, MatrixDType, Watch } from '../../src/backend/backend.ts'
import type { Config } from '../../src/model/config.ts'
import { recordModel } from '../../src/model/graph.ts'
import { loadWeights } from '../../src/model/load.ts'
import { weightTable } from '../../src/model/weights.ts'
import { sizeOf, type Program } from '../../src/program/program.ts'
import { noise, randomCheckpoint } from './weights.ts'

/** A model with random weights on the CPU, and one stream: one video, one frame a step, no encoded tokens. */
export interface Engine {
  readonly config: Config
  readonly backend: Backend
  /** What one frame replays. */
  readonly program: Program
  /** The answers to the next frame, pixels [H, W, 3] 0..1. */
  advance(pixels: Float32Array, watch?: Watch): Promise<Record<string, Float32Array>>
}

/** How an engine computes. */
export interface EngineOptions {
  readonly threads?: number
  readonly build?: Build
  readonly dtype?: MatrixDType
}

/** Loads a model with random weights, the same for the same seed, onto a team of threads (one unless given), and opens its stream. */
export async function createEngine(config: Config, seed: number, { threads = 1, build = 'simd', dtype = 'f32' }: EngineOptions = {}): Promise<Engine> {
  const { machine } = await openMachine(build, { threads })
  const backend = await WasmBackend.create(weightTable(config, dtype), machine, build)
  await loadWeights(randomCheckpoint(config, seed), config, backend, { dtype })
  const program = recordModel(config, { b: 1, t: 1, pixels: 'f32', recent: 'all', dtype, encoded: false })
  const replay = await backend.prepare(program)
  const state = await backend.createState(program.states)
  let frame = 0
  return { config, backend, program, advance: (pixels, watch) => replay.run(state, frame++, pixels, watch) }
}

/** Frame number `index` of a made-up video: pixels [H, W, 3], 0..1. */
export function randomFrame({ imageSize }: Config, index: number): Float32Array {
  const next = noise(7_000_003 + index)
  return Float32Array.from({ length: sizeOf([...imageSize, 3]) }, () => 0.5 + next() / 2)
}

/** What the runs of a process have in common, for the head of a report. */
export function machine(device: Device): Record<string, string | number> {
  const { process, navigator } = globalThis as { process?: { version?: string; arch?: string }; navigator?: { userAgent?: string } }
  return {
    runtime: process?.version ? `Node ${process.version}` : navigator?.userAgent ?? 'unknown',
    kernels: device.kernels, threads: device.threads,
  }
}
