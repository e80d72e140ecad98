// Gradients of y = f(z) · multiply, the end of linear with a second factor:
//
//     dz[i, j] = dy[i, j]·multiply[i, j]·f'(z[i, j])
//     dmultiply[i, j] = dy[i, j]·f(z[i, j])
//
// f is the activation. `at` is z, or tanh z for tanh.
//
// Shapes: dy, at, multiply, dz and dmultiply [rows, n].
//
// Work: one invocation for each element.

// With lib/exponential.wgsl, lib/frames.wgsl, lib/slopes.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/linear.ts.
@group(0) @binding(1) var<storage, read_write> dz: array<f32>;
@group(0) @binding(2) var<storage, read_write> dmultiply: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> at: array<f32>;
@group(0) @binding(5) var<storage, read> multiply: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  let y = dy[p.dyOffset + rowOffset(row, p.frameRows, p.dyFrame, p.dyStride) + column];
  let z = at[p.atOffset + rowOffset(row, p.frameRows, p.atFrame, p.atStride) + column];
  let factor = multiply[p.multiplyOffset
    + rowOffset(row, p.frameRows, p.multiplyFrame, p.multiplyStride) + column];
  dz[p.dzOffset + row * p.dzStride + column] = y * factor * slope(p.activation, z);
  dmultiply[p.dmultiplyOffset + row * p.dmultiplyStride + column] = y * activated(p.activation, z);
}
