/** Other views of tensors: the same elements with other axes. */
import { columnsOf, rowsOf, sizeOf, type Tensor } from '../program/program.ts'

/**
 * Returns rows of a tensor with other axes. The columns stay.
 * @param axes all axes but the last; their product is the number of rows
 */
export function withAxes(x: Tensor, axes: readonly number[]): Tensor {
  return { ...x, shape: [...axes, columnsOf(x)] }
}

/** Returns a row as a matrix of so many columns: the sum of some rows that hold a matrix each. */
export function asMatrix(row: Tensor, columns: number): Tensor {
  return { ...row, shape: [sizeOf(row.shape) / columns, columns], stride: columns }
}

/** Returns rows [from, from + count) of a tensor without a frame stride. */
export function rows(x: Tensor, from: number, count: number): Tensor {
  return { ...x, offset: x.offset + from * x.stride, shape: [count, columnsOf(x)] }
}

/** Whether two tensors are the same rows of the same buffer. */
export function same(one: Tensor, other: Tensor): boolean {
  return (
    one.buffer === other.buffer &&
    one.offset === other.offset &&
    one.stride === other.stride &&
    one.frameStride === other.frameStride &&
    rowsOf(one) === rowsOf(other) &&
    columnsOf(one) === columnsOf(other)
  )
}
