// Gradient of the activation of linear:
//
//     dz[i, j] = dy[i, j]·f'(z[i, j])
//
// f acts on columns 0 to activated − 1; the others are copied. `at` is z for gelu, and tanh z for
// tanh.
//
// Shapes: dy, at and dz [rows, n].
//
// Work: one invocation for each element.

// With lib/exponential.wgsl, lib/frames.wgsl, lib/slopes.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/linear.ts.
@group(0) @binding(1) var<storage, read_write> dz: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> at: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  var v = dy[p.dyOffset + rowOffset(row, p.frameRows, p.dyFrame, p.dyStride) + column];
  if (column < p.activated) {
    v *= slope(p.activation,
      at[p.atOffset + rowOffset(row, p.frameRows, p.atFrame, p.atStride) + column]);
  }
  dz[p.dzOffset + row * p.dzStride + column] = v;
}
