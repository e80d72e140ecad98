import type { Backend, Device, MatrixDType, Watch } from '../../backend/backend.ts'
import { testBuild } from '../../backend/selfTest.ts'
import { type Build, chooseBuild } from '../../backend/wasm/builds.ts'
import { cpuCapabilities } from '../../backend/wasm/capabilities.ts'
import { openMachine } from '../../backend/wasm/open.ts'
import { WasmBackend } from '../../backend/wasm/wasm.ts'
import { type Config, configOf } from '../../model/config.ts'
import { recordModel } from '../../model/graph.ts'
import { loadWeights } from '../../model/load.ts'
import { smallPrograms } from '../../model/smallModel.ts'
import { weightTable } from '../../model/weights.ts'
import { builtinModule } from '../../platform/platform.ts'
import { availableThreads } from '../../platform/worker.ts'
import { type Program, sizeOf } from '../../program/program.ts'
import { oneOf } from './options.ts'
import { noise, randomCheckpoint } from './weights.ts'

/**
 * A model with random weights on the CPU, and one stream: one video, one frame a step, no encoded
 * tokens.
 */
export interface Engine {
  readonly config: Config
  readonly backend: Backend
  /** The program of one frame. */
  readonly program: Program
  /** The answers to the next frame, pixels [H, W, 3] 0..1. */
  advance(pixels: Float32Array, watch?: Watch): Promise<Record<string, Float32Array>>
}

/** Number formats of the matrices. */
export const dtypes: readonly MatrixDType[] = ['f32', 'f16', 'int8']

/** How an engine computes. */
export interface EngineOptions {
  readonly threads?: number
  readonly build?: Build
  readonly dtype?: MatrixDType
}

/**
 * Loads a model with random weights, the same for the same seed, onto a thread pool (one thread by
 * default), and opens its stream.
 */
export async function createEngine(
  config: Config,
  seed: number,
  { threads = 1, build = 'simd', dtype = 'f32' }: EngineOptions = {},
): Promise<Engine> {
  const { machine } = await openMachine(build, { threads })
  const backend = await WasmBackend.create(weightTable(config, dtype), machine, build)
  await loadWeights(randomCheckpoint(config, seed), config, backend, { dtype })
  const program = recordModel(config, {
    b: 1,
    t: 1,
    pixels: 'f32',
    recent: 'all',
    dtype,
    encoded: false,
  })
  const replay = await backend.prepare(program)
  const state = await backend.createState(program.states)
  let frame = 0
  return {
    config,
    backend,
    program,
    advance: (pixels, watch) => replay.run(state, frame++, { pixels }, watch),
  }
}

/** Frame number `index` of a made-up video: pixels [H, W, 3], 0..1. */
export function randomFrame({ imageSize }: Config, index: number): Float32Array {
  const next = noise(7_000_003 + index)
  return Float32Array.from({ length: sizeOf([...imageSize, 3]) }, () => 0.5 + next() / 2)
}

/**
 * The build that a bench is asked for; "auto" is what `TRecViT.load` takes here for such matrices.
 * @throws TrecvitError if there is none of that name
 */
export async function buildOf(name: string, dtype: MatrixDType = 'f32'): Promise<Build> {
  const build = oneOf('build', name, ['auto', 'simd', 'relaxed', 'wide', 'wide-relaxed'])
  if (build !== 'auto') return build
  return (
    await chooseBuild({}, cpuCapabilities(), (tried) =>
      testBuild(smallPrograms(configOf('Ti'), dtype), tried),
    )
  ).build
}

/** Runtime, CPU and settings, for the head of a report. */
export function machine(
  device: Pick<Device, 'kernels' | 'threads'>,
): Record<string, string | number> {
  const os = builtinModule('node:os')
  const cpu = os?.cpus()[0]?.model.trim()
  const platform = os
    ? `${os.platform()} ${os.arch()}`
    : (globalThis as { navigator?: { platform?: string } }).navigator?.platform
  return {
    runtime: runtimeName(),
    ...(cpu && { cpu }),
    cores: availableThreads(),
    ...(platform && { platform }),
    kernels: device.kernels,
    threads: device.threads,
    date: new Date().toISOString().slice(0, 10),
  }
}

/** Returns the name and version of the JavaScript runtime. */
function runtimeName(): string {
  const { process, navigator } = globalThis as {
    process?: { versions?: Record<string, string | undefined> }
    navigator?: { userAgent?: string }
  }
  for (const [key, name] of [
    ['deno', 'Deno'],
    ['bun', 'Bun'],
    ['node', 'Node'],
  ] as const) {
    if (process?.versions?.[key]) return `${name} ${process.versions[key]}`
  }
  const agent = navigator?.userAgent ?? ''
  // Every browser claims to be others too: the most particular name comes first.
  for (const [pattern, name] of [
    [/Firefox\/([\d.]+)/, 'Firefox'],
    [/Edg\/(\d+)/, 'Edge'],
    [/Chrome\/(\d+)/, 'Chromium'],
    [/Version\/([\d.]+).* Safari/, 'Safari'],
  ] as const) {
    const version = pattern.exec(agent)?.[1]
    if (version) return `${name} ${version}`
  }
  return agent || 'unknown runtime'
}
