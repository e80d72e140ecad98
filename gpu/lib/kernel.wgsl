// Matrices in float32: four columns of a row as they lie, and as numbers.

alias Four = vec4f;

fn numbers(four: Four) -> vec4f {
  return four;
}
