// Layer normalisation of each row:
//
//     out = (x − μ) / √(σ² + 1e-6) · scale + bias
//
// μ is the mean of the row, σ² its (biased) variance.
//
// Shapes: x and out [rows, d]; scale and bias [⌈d/4⌉] vec4.
//
// Work: a workgroup for each row. lib/quads.wgsl keeps the row in registers, lib/rows.wgsl adds the
// sums of the invocations. There are two passes, μ first and then σ², because E[x²] − μ² loses its
// digits when |μ| ≫ σ.

// With lib/rows.wgsl, lib/frames.wgsl, lib/quads.wgsl, lib/storeQuads.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/norms.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> scale: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let quads = (p.d + 3u) / 4u;
  let x0 = xAt(row, local);
  let x1 = xAt(row, local + 64u);
  let x2 = xAt(row, local + 128u);
  let x3 = xAt(row, local + 192u);
  var sums = x0 + x1 + x2 + x3;
  for (var i = local + 256u; i < quads; i += 64u) {
    sums += xAt(row, i);
  }
  let mean = sumOf(local, dot(sums, vec4f(1.0)), 0u) / f32(p.d);

  let v0 = inside(local, x0 - mean);
  let v1 = inside(local + 64u, x1 - mean);
  let v2 = inside(local + 128u, x2 - mean);
  let v3 = inside(local + 192u, x3 - mean);
  sums = v0 * v0 + v1 * v1 + v2 * v2 + v3 * v3;
  for (var i = local + 256u; i < quads; i += 64u) {
    let v = inside(i, xAt(row, i) - mean);
    sums += v * v;
  }
  let deviation = sqrt(sumOf(local, dot(sums, vec4f(1.0)), 1u) / f32(p.d) + 1e-6);
  store(row, local, v0 / deviation);
  store(row, local + 64u, v1 / deviation);
  store(row, local + 128u, v2 / deviation);
  store(row, local + 192u, v3 / deviation);
  for (var i = local + 256u; i < quads; i += 64u) {
    store(row, i, (xAt(row, i) - mean) / deviation);
  }
}

fn scaled(quad: u32, v: vec4f) -> vec4f {
  return v * scale[quad] + bias[quad];
}
