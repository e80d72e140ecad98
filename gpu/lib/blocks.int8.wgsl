// Blocks of columns of x as packed integers, one for each block of the kernel. quantize.wgsl wrote
// each as a row of its own: p.k numbers of four k each, zeros up to a multiple of 4, and the vec4
// with the scale.
//
// Calls lib/tile.wgsl or matrix/lib/matrix.wgsl. `kernel` has the layout of lib/kernel.int8.wgsl.

/** Elements from the begin of a row of x to a block of its columns. */
fn blockBegin(block: u32) -> u32 {
  return block * ((p.k + 3u) / 4u * 4u + 4u);
}

/** The product in a row and four columns of a block: the sums of integers times both scales. */
fn scaled(block: u32, row: u32, column: u32, sum: Quad) -> vec4f {
  let scale = bitcast<f32>(x[(xRow(block, row) >> 2u) + (p.k + 3u) / 4u].x);
  let at = (p.blocks * p.k + block) * ((p.n + 3u) / 4u) + (column >> 2u);
  return vec4f(sum) * (scale * bitcast<vec4f>(kernel[at]));
}
