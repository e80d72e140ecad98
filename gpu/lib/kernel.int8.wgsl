// Matrices in int8, for the operation linear: `Four` is four columns and four rows of the kernel,
// one number for each column with its rows in the bytes from the lowest on. numbers() are these.
//
// Numbers of x are packed the same way (quantize.wgsl), so p.k counts groups of four k. The last
// vec4 of a row of x has its scale.
//
// Calls lib/dots.wgsl and lib/frames.wgsl.

@group(0) @binding(8) var<storage, read> scales: array<vec4f>;

/** Four numbers of a row of x, or four sums. */
alias Quad = vec4i;
alias Four = vec4i;

fn numbers(four: Four) -> Quad {
  return four;
}

/** The product in a row and four columns: the sums of integers times both scales. */
fn scaled(row: u32, column: u32, sum: Quad) -> vec4f {
  let end = p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride) + p.xStride;
  return vec4f(sum) * (bitcast<f32>(x[(end >> 2u) - 1u].x) * scales[column >> 2u]);
}
