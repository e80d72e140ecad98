/**
 * Compares a backend with the `simd` kernels on a small model. Some adapters, drivers and compilers
 * compute nothing, or wrong values.
 */
import { LEVELS } from '../base/int8.ts'
import { type Program, scalesOf, sizeOf, type Weight, weightsOf } from '../program/program.ts'
import type { Backend } from './backend.ts'
import type { Build } from './wasm/builds.ts'
import { WasmBackend } from './wasm/wasm.ts'

/** Largest error of a GPU, relative to the largest value of a tensor. */
export const GPU_BOUND = 1e-4

/**
 * Largest error with int8 matrices, unless results must be exact. A value between two integers may
 * be rounded to either, if backends differ in its last bit. One such value in a small model changes
 * an output by up to 5e-3 of its largest value; a wrong kernel changes it by more than 0.1.
 */
const INT8_BOUND = 5e-2

/**
 * Largest error of the builds of the CPU kernels. The deterministic builds must be exact. For the
 * relaxed ones the goldens allow each of two results an error of 1e-5.
 */
export const BUILD_BOUNDS: Readonly<Record<Build, number>> = {
  simd: 0,
  wide: 0,
  relaxed: 2e-5,
  'wide-relaxed': 2e-5,
}

/** Programs of a small model. Together they run all variants of kernels that a model can choose. */
export type SmallPrograms = readonly [many: Program, few: Program]

/**
 * Runs a small model on the `simd` kernels and on another backend, and compares the outputs.
 * @param bound largest error of float32, relative to the largest value of a tensor
 * @param create makes the backend for these weights
 * @returns what is wrong, or null
 */
export async function selfTest(
  programs: SmallPrograms,
  bound: number,
  create: (weights: readonly Weight[]) => Promise<Backend>,
): Promise<string | null> {
  const all = programs.flatMap(({ steps }) => steps.flatMap(weightsOf))
  const weights = [...new Map(all.map((weight) => [weight.name, weight])).values()]
  const want = await outputsOf(await WasmBackend.create(weights), weights, programs)
  const got = await outputsOf(await create(weights), weights, programs)
  const allowed = bound && weights.some(({ kind }) => kind === 'int8') ? INT8_BOUND : bound
  for (const [index, [name, expected]] of want.entries()) {
    const values = got[index]![1]
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const error = expected.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - values[at]!)),
      0,
    )
    if (!(error <= allowed * largest))
      return `it computes "${name}" with an error of ${(error / largest).toExponential(1)}`
  }
  return null
}

/** Returns the outputs of some chunks of noise by name. Disposes of the backend. */
async function outputsOf(
  backend: Backend,
  weights: readonly Weight[],
  [many, few]: SmallPrograms,
): Promise<[string, Float32Array][]> {
  let seed = 1
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) / 2 ** 31
  // A device may be lost at any time. Everything made so far is freed in that case, too.
  const made: { dispose(): void }[] = [backend]
  const outputs: [string, Float32Array][] = []
  let frame = 0
  try {
    writeNoise(backend, weights, random)
    const state = await backend.createState(many.states, { frames: 2 })
    made.unshift(state)
    // Each chunk begins with the states that the chunk before left. With room 0, products choose
    // the smallest tile, which models with larger sizes choose on any device.
    for (const [program, room] of [[many], [many, 0], [few]] as const) {
      const replay = await backend.prepare(program, room)
      made.unshift(replay)
      const { shape, buffer } = program.inputs['pixels']!
      const bytes = buffer.dtype === 'u8'
      const pixels = new (bytes ? Uint8Array : Float32Array)(sizeOf(shape)).map(
        () => Math.abs(random()) * (bytes ? 256 : 1),
      )
      outputs.push(...Object.entries(await replay.run(state, frame, { pixels })))
      frame += program.t
    }
    return outputs
  } finally {
    for (const part of made) part.dispose()
  }
}

/** Fills the weights so that activations keep their size from layer to layer. */
function writeNoise(backend: Backend, weights: readonly Weight[], random: () => number): void {
  /** Size of the scales of each int8 matrix, by the name of the weight that holds them. */
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
      // Multiples of 1/1024, which float16 represents exactly.
      const spread = 1024 * (kind === 'matrix' ? Math.sqrt(3 / rows) : 0.5)
      write(noise(() => Math.round(spread * random()) / 1024))
    }
  }
}

const tested = new Map<string, Promise<string | null>>()

/**
 * Tests a build of the CPU kernels. Done once per process and programs.
 * @returns what is wrong, or null
 */
export function testBuild(programs: SmallPrograms, build: Build): Promise<string | null> {
  const key = JSON.stringify([build, programs])
  let result = tested.get(key)
  if (!result) {
    const create = (weights: readonly Weight[]) => WasmBackend.create(weights, undefined, build)
    result = selfTest(programs, BUILD_BOUNDS[build], create)
    tested.set(key, result)
    result.catch(() => tested.delete(key))
  }
  return result
}
