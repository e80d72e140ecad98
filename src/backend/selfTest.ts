/**
 * Compares a backend with the plain CPU kernels on a small model: some adapters, drivers and
 * compilers compute nothing, or compute wrong values.
 */
import { LEVELS } from '../base/int8.ts'
import { type Program, scalesOf, sizeOf, type Weight } from '../program/program.ts'
import type { Backend, MatrixDType, StreamState } from './backend.ts'
import { Engine } from './engine.ts'
import type { Build } from './wasm/builds.ts'
import { WasmBackend } from './wasm/wasm.ts'

/** Largest error of a GPU, relative to the largest value of a tensor. */
export const GPU_BOUND = 1e-4

/**
 * Largest error of the builds of the CPU kernels: none, or that of two answers that are each within
 * 1e-5 of the exact one, as the goldens require.
 */
export const BUILD_BOUNDS: Readonly<Record<Build, number>> = {
  simd: 0,
  wide: 0,
  relaxed: 2e-5,
  'wide-relaxed': 2e-5,
}

/** A model of a few thousand weights that uses every operation. */
export interface SmallModel {
  weights(dtype: MatrixDType): readonly Weight[]
  program(dtype: MatrixDType): Program
}

/**
 * Runs a small model on a backend and on the plain CPU kernels, and compares the outputs.
 * @param create makes the backend for these weights
 * @param bound largest error, relative to the largest value of a tensor
 * @param dtype number format of the matrices
 * @returns what is wrong, or null
 */
export async function selfTest(
  model: SmallModel,
  create: (weights: readonly Weight[]) => Promise<Backend>,
  bound: number,
  dtype: MatrixDType = 'f32',
): Promise<string | null> {
  const weights = model.weights(dtype)
  const program = model.program(dtype)
  const want = await outputsOf(await WasmBackend.create(weights), weights, program)
  const got = await outputsOf(await create(weights), weights, program)
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

/** The outputs of the second of two chunks of noise. Disposes of the backend. */
async function outputsOf(
  backend: Backend,
  weights: readonly Weight[],
  program: Program,
): Promise<Record<string, Float32Array>> {
  let seed = 1
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) / 2 ** 31
  // A device may be lost at any time: what was made is freed all the same.
  const engine = new Engine(backend)
  let state: StreamState | undefined
  try {
    writeNoise(backend, weights, random)
    const pixels = Uint8Array.from(
      { length: sizeOf(program.inputs['pixels']!.shape) },
      () => Math.abs(random()) * 256,
    )
    state = await backend.createState(program.states, { frames: 2 })
    // The second chunk begins with the states that the first one left.
    await (await engine.prepare(program))(state, 0, { pixels })
    return await (await engine.prepare(program))(state, program.t, { pixels })
  } finally {
    state?.dispose()
    await engine.dispose()
  }
}

/** Fills the weights so that activations keep their size from layer to layer. */
function writeNoise(backend: Backend, weights: readonly Weight[], random: () => number): void {
  /** √3 over the root of the rows, by the name of the weight that carries the scale. */
  const int8Scales = new Map(
    weights
      .filter(({ kind }) => kind === 'int8')
      .map(({ name, rows }) => [scalesOf(name), Math.sqrt(3 / rows) / LEVELS]),
  )
  for (const weight of weights) {
    const { name, kind, blocks, rows, columns } = weight
    const write = (values: Float32Array | Int8Array) => backend.write(weight, values, 0, columns, 0)
    const noise = (value: () => number) =>
      Float32Array.from({ length: blocks * rows * columns }, value)
    const scale = int8Scales.get(name)
    if (kind === 'int8') write(Int8Array.from(noise(() => Math.round(LEVELS * random()))))
    else if (scale !== undefined) write(noise(() => scale * (1 + Math.abs(random()))))
    else if (name.endsWith('decay')) write(noise(() => -Math.abs(random())))
    else {
      // In steps of 1/1024, which float16 can hold.
      const spread = 1024 * (kind === 'matrix' ? Math.sqrt(3 / rows) : 0.5)
      write(noise(() => Math.round(spread * random()) / 1024))
    }
  }
}

const tested = new Map<string, Promise<string | null>>()

/**
 * Tests a build of the CPU kernels with matrices of a number format, once in a process.
 * @param model the same one in each call
 * @returns what is wrong, or null
 */
export async function testBuild(
  model: SmallModel,
  build: Build,
  dtype: MatrixDType,
): Promise<string | null> {
  return (
    (await testOnce(model, build, 'f32')) ??
    (dtype === 'int8' ? testOnce(model, build, dtype) : null)
  )
}

function testOnce(model: SmallModel, build: Build, dtype: MatrixDType): Promise<string | null> {
  const key = `${build} ${dtype}`
  let result = tested.get(key)
  if (!result) {
    const create = (weights: readonly Weight[]) => WasmBackend.create(weights, undefined, build)
    result = selfTest(model, create, BUILD_BOUNDS[build], dtype)
    tested.set(key, result)
    result.catch(() => tested.delete(key))
  }
  return result
}
