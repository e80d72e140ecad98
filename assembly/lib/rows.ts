/**
 * Returns the address of a row of an input. Frames may be apart in memory. Strides count elements.
 * @param frame elements from one frame to the next
 * @param frameRows rows of a frame; all rows if the frames are contiguous
 */
// @ts-ignore: decorator
@inline
export function rowAt(x: usize, stride: i32, frame: i32, frameRows: i32, row: i32): usize {
  // The common case, without a division.
  if (row < frameRows) return x + ((<usize>row * stride) << 2)
  const place = <usize>(row / frameRows) * frame + <usize>(row % frameRows) * stride
  return x + (place << 2)
}
