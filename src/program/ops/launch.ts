import { frameStrideOf, type Tensor } from '../tensor.ts'
import type { Fail, Groups, Operation, Sizes } from './operation.ts'

/** Rows of the largest tile of any build (TILE in assembly/lib/target.ts). */
export const TILE = 6

/**
 * Number of shares that the rows of a frame are split into. With fewer frames than threads, the
 * rows are split in two, so that a thread finds its own results in its cache. With more frames,
 * each thread has frames of its own.
 */
export function sharesOf({ frames, tokens }: Sizes, threads: number): number {
  return threads > 1 && frames! < threads && tokens! > 2 * TILE ? 2 : 1
}

/** Returns one workgroup per row. */
export function perRow({ rows }: Sizes): Groups {
  return spread(rows!)
}

/**
 * Spreads workgroups over x and y, because 65535 is the limit of each. Kernels compute the index as
 * y·groups.x + x.
 */
export function spread(groups: number): Groups {
  const x = Math.min(Math.ceil(groups), 65535)
  return [x, Math.ceil(groups / x), 1]
}

/**
 * Whether vec4 loads are possible: all rows and frames begin at multiples of 4 elements, and the
 * given sizes are multiples of 4.
 */
export function aligned(
  tensors: readonly (Tensor | undefined)[],
  sizes: readonly number[],
): boolean {
  const views = tensors.flatMap((tensor) =>
    tensor ? [tensor.offset, tensor.stride, frameStrideOf(tensor)] : [],
  )
  return [...views, ...sizes].every((value) => value % 4 === 0)
}

/** Parts of an operation on rows. */
export interface Rows {
  readonly inputs: { readonly x: Tensor }
}

/** Launch of a kernel with one workgroup per row, which lib/quads.wgsl loads. */
export const alignedRows: Operation<Rows, []>['gpu'] & object = {
  fields: ['rows'],
  groups: perRow,
  constants: ({ inputs: { x }, sizes }) => ({ ALIGNED: aligned([x], [sizes.d!]) }),
}

/**
 * Bytes of workgroup memory of a tile of 128 invocations (gpu/lib/tile.wgsl). A tile of 64
 * invocations fits every device.
 */
const TILE_BYTES = 18688
/**
 * Number of tiles from which 64 invocations per tile fill a large GPU. Time on an H200 relative to
 * 128 invocations: 0.85 with 480 tiles, 1.7 with 120 tiles.
 */
const MANY_TILES = 384

/** Returns the workgroups for tiles of 32 columns of each block. */
export function tiles({ rows, blocks, n }: Sizes, height = 40): Groups {
  return [Math.ceil(n! / 32), Math.ceil(rows! / height), blocks!]
}

/**
 * Returns the constants of the tile of a product.
 * @param room bytes of workgroup memory of the device
 */
export function tileOf(sizes: Sizes, room: number): { INVOCATIONS: number; WHOLE: boolean } {
  const [x, y, z] = tiles({ ...sizes, rows: sizes.rows! / sizes.streams! })
  const INVOCATIONS = room < TILE_BYTES || x * y * z >= MANY_TILES ? 64 : 128
  return { INVOCATIONS, WHOLE: sizes.k! % (INVOCATIONS / 2) === 0 }
}

/** Rounds columns up to a multiple of 4: GPU kernels load weights as vec4. */
export function quads(columns: number): number {
  return Math.ceil(columns / 4) * 4
}

/** Returns the columns of each head. */
export function headWidth(columns: number, heads: number, fail: Fail): number {
  if (columns % heads) fail(`${columns} columns to divide into ${heads} heads`)
  return columns / heads
}
