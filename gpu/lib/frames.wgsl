// Rows of an input whose frames may lie apart.

/**
 * Elements from the first row of an input to a row.
 * @param frameRows rows of a frame; all rows where frames follow each other
 * @param frame elements from one frame to the next
 * @param stride elements from one row to the next
 */
fn rowOffset(row: u32, frameRows: u32, frame: u32, stride: u32) -> u32 {
  return row / frameRows * frame + row % frameRows * stride;
}
