// Matrices in float16: `Four` is four columns of a row in memory, numbers() their values. Unpacking
// needs no device feature, not even shader-f16.

/** Four numbers of a row of x, or four sums. */
alias Quad = vec4f;
alias Four = vec2u;

fn numbers(four: Four) -> vec4f {
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
