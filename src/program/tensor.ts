/** What steps work on: tensors in buffers, states of a stream, weights. */

/** One piece of memory, known by its name. */
export interface Buffer {
  readonly name: string
  readonly dtype: 'f32' | 'u8'
  /** Number of elements. */
  readonly size: number
}

/**
 * Rows of numbers in a buffer. All axes but the last are flattened into rows; row i begins at
 * element `offset + i·stride`, unless frames have a stride of their own. So columns of a matrix and
 * some tokens of every frame are tensors too, without a copy.
 */
export interface Tensor {
  readonly buffer: Buffer
  /** Element where row 0 begins. */
  readonly offset: number
  readonly shape: readonly number[]
  /** Elements from one row to the next. */
  readonly stride: number
  /**
   * Elements from one frame of [b, t, n, d] to the next, where other rows lie between them. Row i
   * begins at `offset + ⌊i/n⌋·frameStride + (i mod n)·stride`.
   */
  readonly frameStride?: number
}

/** float32 numbers carried from chunk to chunk, zero after a reset. */
export interface State {
  readonly name: string
  readonly shape: readonly number[]
  /**
   * Set for the ring of a window, [b, 1, c] in a program. Each stream has as many frames there as
   * its window (`statesFor`), so only the last state of a program can be one.
   */
  readonly ring?: true
  /** Set for sums over all frames. Rounded to half-precision they would spoil each later answer. */
  readonly sum?: true
}

/**
 * Weights as one step reads them: `blocks` arrays [rows, columns], row-major (a vector is one row).
 * A `matrix` is what rows are multiplied with, and a backend packs it as it likes; `int8` is one of
 * integers −63..63, whose scales are a weight of their own; `rows` are read as they are. Where
 * they come from stands in model/weights.ts.
 */
export interface Weight {
  readonly name: string
  readonly kind: 'matrix' | 'int8' | 'rows'
  readonly blocks: number
  readonly rows: number
  readonly columns: number
}

/** Name of the tensor with the scales of an int8 matrix, in checkpoints and in a program. */
export function scalesOf(matrix: string): string {
  return `${matrix}/scale`
}

/** The part of an average that a program is recorded for. How many frames is up to each stream. */
export type AverageKind = 'all' | 'window' | 'halfLife'

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** Rows of a tensor: all axes but the last, flattened. */
export function rowsOf(tensor: Tensor): number {
  return sizeOf(tensor.shape.slice(0, -1))
}

/** Elements from one frame of a tensor [b, t, ..] to the next. */
export function frameStrideOf({ shape, stride, frameStride }: Tensor): number {
  return frameStride ?? sizeOf(shape.slice(2, -1)) * stride
}

/** Columns of a tensor: its last axis. */
export function columnsOf(tensor: Tensor): number {
  return tensor.shape[tensor.shape.length - 1]!
}
