// Matrices in float16: four columns of a row as they lie, and as numbers. Every device can unpack
// them, with the feature shader-f16 or without.

alias Four = vec2u;

fn numbers(four: Four) -> vec4f {
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
