import type { Config } from '../model/config.ts'
import { recordModel } from '../model/graph.ts'
import { LEVELS, scalesOf } from '../model/int8.ts'
import { weightTable } from '../model/weights.ts'
import { sizeOf, type Weight } from '../program/program.ts'
import type { Backend, MatrixDType, StreamState } from './backend.ts'
import { Engine } from './engine.ts'
import type { Build } from './wasm/builds.ts'
import { WasmBackend } from './wasm/wasm.ts'

/** How far a GPU may be off, relative to the largest value of a tensor. */
export const GPU_BOUND = 1e-4

/**
 * The same for builds of the CPU's kernels: none, or that two answers are each within 1e-5 of the
 * exact one, as the goldens want it.
 */
export const BUILD_BOUNDS: Readonly<Record<Build, number>> = {
  simd: 0,
  wide: 0,
  relaxed: 2e-5,
  'wide-relaxed': 2e-5,
}

/** A model that uses every operation, with sizes that divide by nothing. */
const config: Config = {
  width: 20,
  depth: 2,
  mlpDim: 36,
  numHeads: 2,
  numClasses: 7,
  repSize: 24,
  framesPerClip: 4,
  imageSize: [24, 40],
  patchSize: [8, 8],
  conv1dTemporalWidth: 4,
  lruWidth: 28,
  posemb: 'learn',
  poolType: 'gap',
  useMlp: true,
}

/** A scale with which whole numbers keep the size of what they are multiplied with. */
const stepOf = (rows: number): number => Math.sqrt(3 / rows) / LEVELS

/**
 * Runs a small model on a backend and on the CPU's plain kernels and compares: adapters exist that
 * compute nothing, or wrongly, and compilers.
 * @param create makes the backend for these weights
 * @param bound how far it may be off, relative to the largest value of a tensor
 * @param dtype of the matrices
 * @returns what is wrong, or null
 */
export async function selfTest(
  create: (weights: readonly Weight[]) => Promise<Backend>,
  bound: number,
  dtype: MatrixDType = 'f32',
): Promise<string | null> {
  const weights = weightTable(config, dtype)
  const steps = new Map(
    weights
      .filter(({ kind }) => kind === 'int8')
      .map(({ name, rows }) => [scalesOf(name), stepOf(rows)]),
  )
  const program = recordModel(config, {
    b: 2,
    t: 3,
    pixels: 'u8',
    recent: 'window',
    dtype,
    encoded: true,
  })
  const answers = async (backend: Backend) => {
    let seed = 1
    const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) / 2 ** 31
    for (const weight of weights) {
      const size = weight.blocks * weight.rows * weight.columns
      if (weight.kind === 'int8') {
        backend.write(
          weight,
          Int8Array.from({ length: size }, () => Math.round(LEVELS * random())),
          0,
          weight.columns,
          0,
        )
        continue
      }
      const step = steps.get(weight.name)
      if (step !== undefined) {
        backend.write(
          weight,
          Float32Array.from({ length: size }, () => step * (1 + Math.abs(random()))),
          0,
          weight.columns,
          0,
        )
        continue
      }
      // Decays are negative; the rest keeps the size of what it is multiplied with.
      const scale = weight.kind === 'matrix' ? Math.sqrt(3 / weight.rows) : 0.5
      // In steps of 1/1024, which float16 can hold.
      const values = Float32Array.from({ length: size }, () =>
        weight.name.endsWith('decay')
          ? -Math.abs(random())
          : Math.round(1024 * scale * random()) / 1024,
      )
      backend.write(weight, values, 0, weight.columns, 0)
    }
    const pixels = Uint8Array.from(
      { length: sizeOf(program.pixels.shape) },
      () => Math.abs(random()) * 256,
    )
    // A device may be lost at any time: what was made is freed all the same.
    const engine = new Engine(backend)
    let state: StreamState | undefined
    try {
      state = await backend.createState(program.states, { frames: 2 })
      // Twice, so that the second chunk begins with what the first one carried over.
      await (await engine.prepare(program)).run(state, 0, pixels)
      return await (await engine.prepare(program)).run(state, 3, pixels)
    } finally {
      state?.dispose()
      await engine.dispose()
    }
  }
  const [want, got] = [
    await answers(await WasmBackend.create(weights)),
    await answers(await create(weights)),
  ]
  for (const [name, expected] of Object.entries(want)) {
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error = expected.reduce(
      (most, value, index) => Math.max(most, Math.abs(value - got[name]![index]!)),
      0,
    )
    if (!(error <= bound * largest))
      return `it computes "${name}" with an error of ${(error / largest).toExponential(1)}`
  }
  return null
}

const tested = new Map<string, Promise<string | null>>()

/**
 * What a build of the CPU's kernels computes wrongly with matrices of a number format, or null.
 * Each is tested once in a process.
 */
export async function testBuild(build: Build, dtype: MatrixDType): Promise<string | null> {
  return (await testOnce(build, 'f32')) ?? (dtype === 'int8' ? testOnce(build, dtype) : null)
}

function testOnce(build: Build, dtype: MatrixDType): Promise<string | null> {
  const key = `${build} ${dtype}`
  let found = tested.get(key)
  if (!found) {
    found = selfTest(
      (weights) => WasmBackend.create(weights, undefined, build),
      BUILD_BOUNDS[build],
      dtype,
    )
    tested.set(key, found)
    found.catch(() => tested.delete(key))
  }
  return found
}
