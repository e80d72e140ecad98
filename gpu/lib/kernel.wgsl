// Matrices in float32: `Four` is four columns of a row in memory, numbers() their values.

alias Four = vec4f;

fn numbers(four: Four) -> vec4f {
  return four;
}
