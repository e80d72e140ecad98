// The gates of a tile of recurrence.wgsl, with float32 or float16 kernels.
//
// Calls lib/kernel.wgsl.

/** v of the tile: [16 rows, 32 quads of channels]. */
var<workgroup> convolved: array<vec4f, 512>;

/** Gives v of two rows to the workgroup, which then needs a barrier. Only int8 has scales. */
fn share(local: u32, v0: vec4f, v1: vec4f) -> vec2f {
  convolved[local] = v0;
  convolved[local + 256u] = v1;
  return vec2f();
}

/** The gates of both rows of an invocation, for its four channels. */
fn gatesOf(local: u32, head: u32, _scales: vec2f) -> Gates {
  let quads = p.e / p.heads / 4u;
  let quad = local % 32u;
  let line = local - quad;
  var input0 = kernelBias[2u * head * quads + quad];
  var recurrence0 = kernelBias[(2u * head + 1u) * quads + quad];
  var input1 = input0;
  var recurrence1 = recurrence0;
  let next = 2u * quads;
  var at = head * 4u * quads * next + quad;
  for (var k = 0u; k < quads; k++) {
    let a = convolved[line + k];
    let b = convolved[line + 256u + k];
    let i0 = numbers(kernel[at]);
    let i1 = numbers(kernel[at + next]);
    let i2 = numbers(kernel[at + 2u * next]);
    let i3 = numbers(kernel[at + 3u * next]);
    let r0 = numbers(kernel[at + quads]);
    let r1 = numbers(kernel[at + next + quads]);
    let r2 = numbers(kernel[at + 2u * next + quads]);
    let r3 = numbers(kernel[at + 3u * next + quads]);
    input0 = input0 + a.x * i0 + a.y * i1 + a.z * i2 + a.w * i3;
    input1 = input1 + b.x * i0 + b.y * i1 + b.z * i2 + b.w * i3;
    recurrence0 = recurrence0 + a.x * r0 + a.y * r1 + a.z * r2 + a.w * r3;
    recurrence1 = recurrence1 + b.x * r0 + b.y * r1 + b.z * r2 + b.w * r3;
    at += 4u * next;
  }
  return Gates(input0, recurrence0, input1, recurrence1);
}
