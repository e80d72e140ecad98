// Gradient of the mean over all frames of a clip so far (gpu/average.wgsl):
//
//     dx[s] = Σ_{t≥s} dy[t] / (t + 1)
//
// Shapes: dy and dx [b, t, c]. The chunk is the first of its clip.
//
// Work: one invocation for each column of a video, from the last frame to the first.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/time.ts.
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let video = index / p.c;
  let column = index % p.c;
  var sum = 0.0;
  for (var t = p.t; t > 0u; t--) {
    let row = video * p.t + t - 1u;
    sum += dy[p.dyOffset + row * p.dyFrame + column] / f32(t);
    dx[p.dxOffset + row * p.dxStride + column] = sum;
  }
}
