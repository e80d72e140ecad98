/**
 * Products by matrix units of a GPU (gpu/matrix/lib/matrix.wgsl). They need the experimental
 * feature `chromium-experimental-subgroup-matrix`. This file is imported on demand.
 */
import shaders from '../../../build/matrix/shaders.txt'
import { quads } from '../../program/ops/launch.ts'
import type { Sizes } from '../../program/ops/operation.ts'
import type { Weight } from '../../program/program.ts'
import type { GpuCapabilities, MatrixDType } from '../backend.ts'
import type { Call, MatrixParts } from './encode.ts'

/** The matrix units to use, or why there are none. */
export interface Chosen {
  readonly matrices?: Matrices
  readonly reason: string | null
}

/** A matrix [M, K] times a matrix [K, N], by a subgroup of `subgroup` invocations. */
export interface MatrixShape {
  readonly M: number
  readonly N: number
  readonly K: number
  readonly subgroup: number
  /** Whether kernels must ask for subgroups of this size, because the GPU has several sizes. */
  readonly sized: boolean
}

const MATRICES = 'chromium-experimental-subgroup-matrix'
const SIZED = 'subgroup-size-control'

/** What to open a GPU with. `subgroups` is always requested. */
export const NEEDED: { readonly features: readonly string[]; readonly toggles: readonly string[] } =
  {
    features: [MATRICES, 'shader-f16', SIZED],
    toggles: ['allow_unsafe_apis', 'use_vulkan_memory_model', 'vulkan_enable_f16_on_nvidia'],
  }

/**
 * Largest errors of the small model in the self-test. With float16 matrices, numbers of x are
 * rounded to float16, too. With float32 matrices, both are split into two float16 numbers. With
 * int8 matrices, one value next to a half costs as much. A wrong kernel is more than 0.1 off.
 */
const BOUNDS: Readonly<Record<MatrixDType, number>> = { f16: 1e-2, f32: 2e-4, int8: 5e-2 }

/** A file of gpu/matrix/lib for each number format of matrices; formats of factors and sums. */
const KERNELS: Readonly<
  Record<MatrixDType, readonly [file: string, factors: string, sums: string]>
> = { f16: ['half', 'f16', 'f32'], f32: ['split', 'f16', 'f32'], int8: ['integer', 'i8', 'i32'] }

/** The tile that a workgroup computes. */
interface Tile {
  /** A multiple of M. Each invocation loads as much of x as the others. */
  readonly rows: number
  /** A multiple of N. Each invocation loads as much of the kernel as the others. */
  readonly columns: number
  /** Subgroups of a workgroup, which share k. */
  readonly subgroups: number
}

/**
 * Returns the tile of a shape. A subgroup keeps the sums of its tile in registers: at most four
 * matrices across. With float32 matrices it keeps two sums for each. K·rows and K·columns are
 * multiples of what a subgroup loads: eights of float16, or four int8 of eight columns.
 */
function tileOf({ N, K, subgroup }: MatrixShape, format: MatrixDType): Tile {
  const side = Math.max(32, ((format === 'int8' ? 32 : 8) * subgroup) / K)
  return { rows: side, columns: format === 'f16' ? Math.min(64, 4 * N) : side, subgroups: 4 }
}

const texts = shaders.split('\f')
/** Returns the code of a file of gpu/matrix/lib. */
const codeOf = (name: string): string => texts[texts.indexOf(name) + 2]!

/**
 * Chooses matrix units.
 * @param adapter the adapter of the device: in Dawn only its information has the shapes
 * @param test the self-test, which returns what is wrong or null
 */
export async function choose(
  device: GPUDevice,
  adapter: GPUAdapter,
  dtype: MatrixDType,
  test: (bound: number, chosen: Chosen) => Promise<string | null>,
): Promise<Chosen> {
  const none = (why: string): Chosen => ({ reason: `matrix units are not used: ${why}` })
  const shape = shapeOf(device, adapter, dtype)
  if (typeof shape === 'string') return none(shape)
  const matrices = new Matrices(shape, dtype)
  const chosen: Chosen = { matrices, reason: null }
  if (matrices.memory > device.limits.maxComputeWorkgroupStorageSize)
    return none(`they need ${matrices.memory} bytes of workgroup memory`)
  const wrong = await test(BOUNDS[dtype], chosen).catch((error: Error) => error.message)
  return wrong ? none(`they failed the self-test: ${wrong}`) : chosen
}

/** Returns the largest shape of a device for a number format, or why there is none. */
function shapeOf(
  { features }: GPUDevice,
  { info }: GPUAdapter,
  dtype: MatrixDType,
): MatrixShape | string {
  for (const feature of [MATRICES, 'shader-f16', 'subgroups'])
    if (!features.has(feature as GPUFeatureName)) return `the device has no feature "${feature}"`
  const {
    subgroupMatrixConfigs: configs = [],
    subgroupMinSize: subgroup,
    subgroupMaxSize: largest,
  } = info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: GpuCapabilities['matrixShapes']
  }
  const sized = subgroup !== largest
  if (sized && !features.has(SIZED as GPUFeatureName))
    return `subgroups have ${subgroup} to ${largest} invocations`
  const [, factors, sums] = KERNELS[dtype]
  const [best] = [...configs]
    .filter(
      ({ M, N, K, componentType, resultComponentType }) =>
        componentType === factors &&
        resultComponentType === sums &&
        [M, N, K].every((size) => size === 8 || size === 16 || size === 32),
    )
    .sort((one, other) => other.M * other.N * other.K - one.M * one.N * one.K)
  if (!best) return `the device multiplies no matrices of ${factors} with sums of ${sums}`
  const { M, N, K } = best
  return { M, N, K, subgroup, sized }
}

/** Matrix units with one shape, for one number format of matrices. */
export class Matrices {
  readonly shape: MatrixShape
  /** The shape, as text for users. */
  readonly name: string
  /** What a description of the GPU adds. */
  readonly capabilities: Pick<GpuCapabilities, 'matrixShapes'>
  /** Bytes of workgroup memory of a kernel. */
  readonly memory: number
  readonly #format: MatrixDType
  readonly #tile: Tile
  readonly #stage: number
  readonly #parts: MatrixParts

  constructor(shape: MatrixShape, format: MatrixDType, tile: Tile = tileOf(shape, format)) {
    const { M, N, K, subgroup, sized } = shape
    const { rows, columns, subgroups } = tile
    this.shape = shape
    this.name = `matrices ${M}×${N}×${K}`
    const [file, componentType, resultComponentType] = KERNELS[format]
    this.capabilities = { matrixShapes: [{ M, N, K, componentType, resultComponentType }] }
    this.#format = format
    this.#tile = tile
    const stage = subgroups * K
    this.#stage = stage
    const sums = 4 * subgroups * M * columns
    const staged: Record<MatrixDType, number> = {
      f16: rows * (2 * stage + 16),
      f32: 2 * (rows * (2 * stage + 16) + stage * (2 * columns + 16)),
      int8: (rows + columns) * (stage + 16),
    }
    this.memory = Math.max(staged[format], format === 'f32' ? 2 * sums : sums)
    const constants = {
      ...{ M, N, K, SUBGROUP: subgroup },
      ...{ SUBGROUPS: subgroups, DOWN: rows / M, ACROSS: columns / N },
    }
    const extensions = ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix']
    const head = [
      ...[...extensions, ...(sized ? ['subgroup_size_control'] : [])].map(
        (extension) => `enable ${extension};`,
      ),
      ...Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;`),
    ].join('\n')
    const code = codeOf(file)
    const main = sized ? code.replace('@compute', '@compute @subgroup_size(SUBGROUP)') : code
    const tileCode = `${codeOf('matrix')}\n${main}`
    this.#parts = {
      head,
      parts: {
        ...{ tile: tileCode, 'tile.int8': tileCode, 'tile.bytes': tileCode },
        ...{ few: '', 'few.int8': '' },
      },
    }
  }

  /**
   * Returns the call of a product by matrix units, or undefined if it stays as it is: for few rows,
   * and if rows of its float16 kernel do not begin at multiples of 16 bytes.
   */
  replace(call: Call, { rows, n, blocks }: Sizes): Call | undefined {
    const { op, dtype, entry, constants } = call
    const isProduct = (op === 'linear' || op === 'blockLinear') && entry === 'main'
    if (!isProduct || dtype !== this.#format || (dtype === 'f16' && n! % 8)) return undefined
    return {
      ...call,
      constants: { ALIGNED: constants['ALIGNED']! },
      groups: [Math.ceil(n! / this.#tile.columns), Math.ceil(rows! / this.#tile.rows), blocks!],
      matrix: this.#parts,
    }
  }

  /**
   * Returns the zeros after a weight, in bytes. Tiles read up to a whole stage of k and a whole
   * tile of columns. Implementations may also require that the row after the last one exists.
   */
  spareOf({ kind, rows, columns }: Weight, dtype: MatrixDType): number {
    if (kind !== 'matrix' || dtype !== 'f16') return 0
    const beyond = Math.ceil(rows / this.#stage) * this.#stage - rows + 1
    return 2 * (beyond * quads(columns) + this.#tile.columns)
  }
}
