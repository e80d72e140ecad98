// Matrices in int8, for the operation linear: `Four` is four columns and four rows of the kernel,
// one number for each column with its rows in the bytes from the lowest on. numbers() are these.
//
// Numbers of x are packed the same way (quantize.wgsl), so p.k counts groups of four k. The vec4
// after those of a row of x has its scale.
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
  let begin = p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride);
  let scale = bitcast<f32>(x[(begin >> 2u) + (p.k + 3u) / 4u].x);
  return vec4f(sum) * (scale * scales[column >> 2u]);
}
