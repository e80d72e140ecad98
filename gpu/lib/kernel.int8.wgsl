// Matrices in int8: `Four` is four columns and four rows of the kernel, one number for each column
// with its rows in the bytes from the lowest on. numbers() are these. After the last block of the
// kernel come the scales of its columns: [blocks, ⌈n/4⌉] vec4f.
//
// Calls lib/dots.wgsl.

/** Four numbers of a row of x, or four sums. */
alias Quad = vec4i;
alias Four = vec4i;

fn numbers(four: Four) -> Quad {
  return four;
}
