/** Operands of steps: tensors in buffers, states of a stream, weights. */

/** A named block of memory. */
export interface Buffer {
  readonly name: string
  readonly dtype: 'f32' | 'u8'
  /** Number of elements. */
  readonly size: number
}

/**
 * Rows of numbers in a buffer. All axes but the last are flattened into rows. Row i begins at
 * element `offset + i·stride`, unless there is a frame stride. So columns of a matrix, or some
 * tokens of each frame, are tensors without a copy.
 */
export interface Tensor {
  readonly buffer: Buffer
  /** Element at which row 0 begins. */
  readonly offset: number
  readonly shape: readonly number[]
  /** Elements from one row to the next. */
  readonly stride: number
  /**
   * Elements from one frame of [b, t, n, d] to the next. Set if other rows lie between the frames.
   * Row i begins at `offset + ⌊i/n⌋·frameStride + (i mod n)·stride`.
   */
  readonly frameStride?: number
}

/** float32 values that are carried from chunk to chunk. Zero after a reset. */
export interface State {
  readonly name: string
  readonly shape: readonly number[]
  /**
   * Set for the ring of a window, [b, 1, c] in a program. Each stream sets the number of frames of
   * its ring (`statesFor`), so only the last state of a program can be a ring.
   */
  readonly ring?: true
  /**
   * Set for sums over all frames, which stay float32: with f16, rounding errors would accumulate.
   */
  readonly sum?: true
}

/**
 * A weight as one step reads it: `blocks` arrays [rows, columns], row-major; a vector is one row. A
 * `matrix` is the right factor of a product; each backend chooses its layout. An `int8` matrix
 * contains integers −63..63, and its scales are a separate weight. `rows` are read as they are.
 * Names and sources of weights are in model/weights.ts.
 */
export interface Weight {
  readonly name: string
  readonly kind: 'matrix' | 'int8' | 'rows'
  readonly blocks: number
  readonly rows: number
  readonly columns: number
}

/** Returns the name of the scales of an int8 matrix, in checkpoints and programs. */
export function scalesOf(matrix: string): string {
  return `${matrix}/scale`
}

/** The kind of average that a program is recorded for. Each stream sets the number of frames. */
export type AverageKind = 'all' | 'window' | 'halfLife'

/** Returns the number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** Returns the rows of a tensor: all axes but the last, flattened. */
export function rowsOf(tensor: Tensor): number {
  return sizeOf(tensor.shape.slice(0, -1))
}

/** Returns the elements from one frame of a tensor [b, t, ..] to the next. */
export function frameStrideOf({ shape, stride, frameStride }: Tensor): number {
  return frameStride ?? sizeOf(shape.slice(2, -1)) * stride
}

/** Returns the columns of a tensor: its last axis. */
export function columnsOf(tensor: Tensor): number {
  return tensor.shape[tensor.shape.length - 1]!
}
