import type { Backend, MatrixDType, Watch } from '../../backend/backend.ts'
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
import { type Program, sizeOf } from '../../program/program.ts'
import { oneOf } from './options.ts'
import { noise, randomCheckpoint } from './weights.ts'

/** A model with random weights on the CPU, and one stream of single frames. */
export interface RandomModel {
  readonly config: Config
  readonly backend: Backend
  /** The program of one frame. */
  readonly program: Program
  /** Returns the outputs for the next frame, pixels [H, W, 3] in 0..1. */
  advance(pixels: Float32Array, watch?: Watch): Promise<Record<string, Float32Array>>
}

/** Number formats of the matrices. */
export const dtypes: readonly MatrixDType[] = ['f32', 'f16', 'int8']

/** How the model computes. */
export interface RandomModelOptions {
  readonly threads?: number
  readonly build?: Build
  readonly dtype?: MatrixDType
}

/** Creates a model with random weights, the same for the same seed, and opens its stream. */
export async function createRandomModel(
  config: Config,
  seed: number,
  { threads = 1, build = 'simd', dtype = 'f32' }: RandomModelOptions = {},
): Promise<RandomModel> {
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

/** Returns a frame of random pixels [H, W, 3] in 0..1, the same for the same index. */
export function randomFrame({ imageSize }: Config, index: number): Float32Array {
  const next = noise(7_000_003 + index)
  return Float32Array.from({ length: sizeOf([...imageSize, 3]) }, () => 0.5 + next() / 2)
}

/**
 * Returns the build with a name. "auto" is the build that `TRecViT.load` chooses on this machine.
 * @throws TrecvitError if no build has that name
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
