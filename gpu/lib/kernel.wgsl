// Matrices in float32: `Four` is four columns of a row in memory, numbers() their values.

/** Four numbers of a row of x, or four sums. */
alias Quad = vec4f;
alias Four = vec4f;

fn numbers(four: Four) -> vec4f {
  return four;
}

/** The product in a row and four columns. Only int8 has scales. */
fn scaled(_row: u32, _column: u32, sum: Quad) -> vec4f {
  return sum;
}
