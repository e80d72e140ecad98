// Mean over the tokens of each frame:
//
//     out[f] = Σ_i x[f, i] / n
//
// Shapes: x [frames, n, d], out [frames, d].
//
// Work: one invocation for each column of a frame. Neighbouring invocations read neighbouring
// elements.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/tokens.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let frame = index / p.d;
  let column = index % p.d;
  var sum = 0.0;
  for (var token = 0u; token < p.n; token++) {
    sum += x[p.xOffset + frame * p.xFrame + token * p.xStride + column];
  }
  out[p.outOffset + frame * p.outStride + column] = sum / f32(p.n);
}
