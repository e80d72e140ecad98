// Blocks of columns of x, one for each block of the kernel. In float32 they follow one another.

/** Elements from the begin of a row of x to a block of its columns. */
fn blockBegin(block: u32) -> u32 {
  return block * p.k;
}

/** The product in a row and four columns of a block. Only int8 has scales. */
fn scaled(_block: u32, _row: u32, _column: u32, sum: Quad) -> vec4f {
  return sum;
}
