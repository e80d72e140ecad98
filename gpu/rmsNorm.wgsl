// Root-mean-square normalisation of each row:
//
//     out = x / √(mean(x²) + 1e-6) · (1 + scale)
//
// Shapes: x and out [rows, d]; scale [⌈d/4⌉] vec4.
//
// Work: a workgroup for each row. lib/quads.wgsl keeps the row in registers, lib/rows.wgsl adds the
// sums of the invocations.

// With lib/rows.wgsl, lib/frames.wgsl, lib/quads.wgsl, lib/storeQuads.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/norms.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> scale: array<vec4f>;

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
  var squares = x0 * x0 + x1 * x1 + x2 * x2 + x3 * x3;
  for (var i = local + 256u; i < quads; i += 64u) {
    let v = xAt(row, i);
    squares += v * v;
  }
  let rms = sqrt(sumOf(local, dot(squares, vec4f(1.0)), 0u) / f32(p.d) + 1e-6);
  store(row, local, x0 / rms);
  store(row, local + 64u, x1 / rms);
  store(row, local + 128u, x2 / rms);
  store(row, local + 192u, x3 / rms);
  for (var i = local + 256u; i < quads; i += 64u) {
    store(row, i, xAt(row, i) / rms);
  }
}

fn scaled(quad: u32, v: vec4f) -> vec4f {
  return v * (1.0 + scale[quad]);
}
