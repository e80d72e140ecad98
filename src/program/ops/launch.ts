import { frameStrideOf, type Tensor } from '../tensor.ts'
import type { Fail, Groups, Sizes } from './operation.ts'

/** Rows of the tallest tile of any build (TILE in assembly/lib/target.ts). */
export const TILE = 6

/**
 * Shares of the rows of a frame. They are halved for several threads, so that a thread finds in its
 * cache what it has written; of several frames, each thread has its own.
 */
export function sharesOf({ frames, tokens }: Sizes, threads: number): number {
  return threads > 1 && frames! < threads && tokens! > 2 * TILE ? 2 : 1
}

/** A workgroup for each row. */
export function perRow({ rows }: Sizes): Groups {
  return spread(rows!)
}

/**
 * A number of workgroups in x and, because 65535 is the limit, y; kernels count them as y·groups.x
 * + x.
 */
export function spread(groups: number): Groups {
  const x = Math.min(Math.ceil(groups), 65535)
  return [x, Math.ceil(groups / x), 1]
}

/**
 * Whether vec4 can be fetched: rows and frames begin at multiples of 4 elements and these sizes are
 * such multiples.
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

/** Columns with those that make them a multiple of 4, which is how GPU kernels fetch weights. */
export function quads(columns: number): number {
  return Math.ceil(columns / 4) * 4
}

/** Columns of each head. */
export function headWidth(columns: number, heads: number, fail: Fail): number {
  if (columns % heads) fail(`${columns} columns to divide into ${heads} heads`)
  return columns / heads
}
