// Gradient of the mean over the first `pooled` of the tokens of each frame:
//
//     dx[f, i] = dy[f] / pooled for i < pooled, else 0
//
// Shapes: dy [frames, d], dx [frames, n, d].
//
// Work: one invocation for each element of dx.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/tokens.ts.
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let column = index % p.d;
  let row = index / p.d;
  var value = 0.0;
  if (row % p.n < p.pooled) {
    value = dy[p.dyOffset + row / p.n * p.dyFrame + column] / f32(p.pooled);
  }
  dx[p.dxOffset + row * p.dxStride + column] = value;
}
