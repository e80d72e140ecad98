// Matrices in float32: `Four` is four columns of a row in memory, numbers() their values.

/** Four numbers of a row of x, or four sums. */
alias Quad = vec4f;
alias Four = vec4f;

fn numbers(four: Four) -> vec4f {
  return four;
}
