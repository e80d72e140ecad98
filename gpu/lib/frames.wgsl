// Rows of an input. Frames may be apart in memory.

/**
 * Elements from the first row of an input to a row.
 * @param frameRows rows of a frame; all rows if the frames are contiguous
 * @param frame elements from one frame to the next
 * @param stride elements from one row to the next
 */
fn rowOffset(row: u32, frameRows: u32, frame: u32, stride: u32) -> u32 {
  return row / frameRows * frame + row % frameRows * stride;
}
