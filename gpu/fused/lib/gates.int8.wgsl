// The gates of a tile of recurrence.wgsl, with an int8 kernel:
//
//     γ, ρ = the two halves of f[i, head]·scale[head] ⊙ Σ_l V[i, head, l]·K[head, l]
//            + kernelBias[head]
//     V = round(v / f), f[i, head] = max_l |v[i, head, l]| / 127
//
// Shapes: of 16 rows of v, the w columns of one head; K [heads, w/4, 2·w/4] vec4 of packed
// integers, then the scales of its columns (lib/kernel.int8.wgsl).
//
// Tiling: 32 invocations have a row. Each stores the maximum of its four channels and reads those
// of the others: 8 bytes for each, where the loop below reads 40. Each finds r = 1 / f by itself,
// as another barrier would cost more. A word of v is read for 32 products.
//
// Calls lib/kernel.int8.wgsl, lib/dots.wgsl and lib/words.wgsl, which says why the integers are
// exact.

/** The largest |v| of each invocation, in its two rows. */
var<workgroup> maxima: array<vec2f, 256>;
/** V of the tile: [16 rows, 32 words of four channels]. */
var<workgroup> words: array<u32, 512>;

/**
 * Gives V of two rows to the workgroup, which then needs a barrier.
 * @returns f of both rows
 */
fn share(local: u32, v0: vec4f, v1: vec4f) -> vec2f {
  maxima[local] = vec2f(largestOf(v0), largestOf(v1));
  workgroupBarrier();
  var largest = vec2f();
  for (var i = 0u; i < 32u; i++) {
    largest = max(largest, maxima[local / 32u * 32u + i]);
  }
  words[local] = wordOf(v0 * inverseOf(largest.x));
  words[local + 256u] = wordOf(v1 * inverseOf(largest.y));
  return largest / 127.0;
}

fn largestOf(v: vec4f) -> f32 {
  let most = max(abs(v.xy), abs(v.zw));
  return max(most.x, most.y);
}

/** The gates of both rows of an invocation, for its four channels. */
fn gatesOf(local: u32, head: u32, scales: vec2f) -> Gates {
  let quads = p.e / p.heads / 4u;
  let quad = local % 32u;
  let line = local - quad;
  var input0 = Quad();
  var recurrence0 = Quad();
  var input1 = Quad();
  var recurrence1 = Quad();
  let next = 2u * quads;
  var at = head * quads * next + quad;
  for (var k = 0u; k < quads; k++) {
    let a = i32(words[line + k]);
    let b = i32(words[line + 256u + k]);
    let i = numbers(kernel[at]);
    let r = numbers(kernel[at + quads]);
    input0 += products(a, i);
    input1 += products(b, i);
    recurrence0 += products(a, r);
    recurrence1 += products(b, r);
    at += next;
  }
  let own = head * next + quad;
  let columns = p.heads * quads * next + own;
  let ofInput = bitcast<vec4f>(kernel[columns]);
  let ofRecurrence = bitcast<vec4f>(kernel[columns + quads]);
  return Gates(
    vec4f(input0) * (scales.x * ofInput) + kernelBias[own],
    vec4f(recurrence0) * (scales.x * ofRecurrence) + kernelBias[own + quads],
    vec4f(input1) * (scales.y * ofInput) + kernelBias[own],
    vec4f(recurrence1) * (scales.y * ofRecurrence) + kernelBias[own + quads]);
}
