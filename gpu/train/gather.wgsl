// Copies the rows of each frame that an index lists:
//
//     out[b, t, i] = x[b, t, index[b, i]]
//
// Shapes: x [b, t, n, d]; index [b, v]; out [b, t, v, d].
//
// Work: one invocation for each element of out.

// With lib/indices.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/tokens.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.y * groups.x * 64u + id.x;
  if (at >= p.count) {
    return;
  }
  let row = at / p.d;
  let column = at % p.d;
  let frame = row / p.v;
  let token = indexOf(index[p.indexOffset + frame / p.t * p.indexStride + row % p.v], p.n);
  out[p.outOffset + row * p.outStride + column] =
    x[p.xOffset + frame * p.xFrame + token * p.xStride + column];
}
