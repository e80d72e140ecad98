// One frame of a recurrent block, between its two products: conv1d, the product of the gates
// (blockLinear) and rgLru in one kernel. Their files have the formulas.
//
//     v = bias + Σ_{j=0..k−1} taps[k−1−j] ⊙ z[t−j]
//     γ, ρ = the two halves of v·kernel[head] + kernelBias[head], for each head
//     out = s ⊙ y, with the new state s of rgLru
//
// Shapes: z and y are columns of yx [b·n, ..]; out [b·n, e]; taps [k, e], whose last row belongs to
// this frame; bias and decay [e]; kernel [heads, w, 2·w] and kernelBias [heads, 2·w] with w = e /
// heads, at most 128. The states past [slots, k−1, n, e] and s [slots, n, e] are changed in place.
// All are vec4: every size and address is a multiple of 4.
//
// Tiling: a workgroup computes 16 rows of one head. An invocation has four channels of two rows: it
// convolves them, multiplies both rows of v by the columns of γ and ρ of its channels, and updates
// their states. A frame of 197 tokens and 12 heads has 156 workgroups.
//
// Cost in a layer of Base: 77 million multiplications, as in blockLinear. Each workgroup reads a
// head of the kernel, 128 KB: 20 MB in all, from cache, where tiles of 40 × 32 read 24 MB. Three
// kernels write v and the gates (3.6 MB) and read them again (4.8 MB). Here they stay in the
// workgroup, and two launches are saved.
//
// Int8: v is quantised in the workgroup (lib/gates.int8.wgsl), which saves a third launch and
// 0.7 MB for the integers. A head of the kernel is 32 KB.

// With lib/kernel.wgsl, lib/gates.wgsl, lib/videos.wgsl, lib/sigmoid.wgsl.
// Binding 0 is `p`, the numbers of this step in src/program/ops/fused.ts.
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<storage, read> yx: array<vec4f>;
@group(0) @binding(3) var<storage, read> taps: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> kernel: array<Four>;
@group(0) @binding(6) var<storage, read> kernelBias: array<vec4f>;
@group(0) @binding(7) var<storage, read> decay: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> past: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> s: array<vec4f>;

/** Sums of both gates in four channels of two rows. */
struct Gates {
  input0: vec4f,
  recurrence0: vec4f,
  input1: vec4f,
  recurrence1: vec4f,
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let quads = p.e / p.heads / 4u;
  let head = group.y;
  let quad = local % 32u;
  let column = head * quads + quad;
  let line = local / 32u;
  let row0 = group.x * 16u + line;
  let row1 = row0 + 8u;
  let has0 = row0 < p.rows && quad < quads;
  let has1 = row1 < p.rows && quad < quads;

  var v0 = vec4f();
  var v1 = vec4f();
  if (has0) {
    v0 = convolve(row0, column);
  }
  if (has1) {
    v1 = convolve(row1, column);
  }
  let scales = share(local, v0, v1);
  workgroupBarrier();
  if (!has0) {
    return;
  }

  let gates = gatesOf(local, head, scales);
  finish(row0, column, v0, gates.input0, gates.recurrence0);
  if (has1) {
    finish(row1, column, v1, gates.input1, gates.recurrence1);
  }
}

/** v of four channels of a row. Their inputs move on in `past`. */
fn convolve(row: u32, column: u32) -> vec4f {
  let width = p.e / 4u;
  let history = p.k - 1u;
  let begin = (videos[row / p.n].slot * history * p.n + row % p.n) * width + column;
  let stride = p.n * width;
  let z = yx[(p.zOffset + row * p.zStride) / 4u + column];
  var sum = bias[column] + taps[history * width + column] * z;
  for (var j = history; j > 0u; j--) {
    sum += taps[(j - 1u) * width + column] * past[begin + (j - 1u) * stride];
  }
  for (var j = 1u; j < history; j++) {
    past[begin + (j - 1u) * stride] = past[begin + j * stride];
  }
  if (history > 0u) {
    past[begin + (history - 1u) * stride] = z;
  }
  return sum;
}

/** The recurrence and its product with y, for four channels of a row. */
fn finish(row: u32, column: u32, v: vec4f, input: vec4f, recurrence: vec4f) {
  let video = videos[row / p.n];
  let at = (video.slot * p.n + row % p.n) * (p.e / 4u) + column;
  var state = sigmoids(input) * v;
  if (video.frame > 0u) {
    let x = decay[column] * sigmoids(recurrence);
    let m = vec4f(expm1(x.x), expm1(x.y), expm1(x.z), expm1(x.w));
    state = (1.0 + m) * s[at] + sqrt(-m * (2.0 + m)) * state;
  }
  s[at] = state;
  out[(p.outOffset + row * p.outStride) / 4u + column] =
    state * yx[(p.yOffset + row * p.zStride) / 4u + column];
}

fn sigmoids(x: vec4f) -> vec4f {
  return vec4f(sigmoid(x.x), sigmoid(x.y), sigmoid(x.z), sigmoid(x.w));
}
