// Positive part of each element:
//
//     out[i, j] = max(x[i, j], 0)
//
// Shapes: x and out [rows, d].
//
// Work: one invocation for each element.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/norms.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.d;
  let column = index % p.d;
  let value = x[p.xOffset + row * p.xStride + column];
  out[p.outOffset + row * p.outStride + column] = select(value, 0.0, value < 0.0);
}
