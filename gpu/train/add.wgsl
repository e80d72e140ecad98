// The sum of two tensors:
//
//     out[i, j] = a[i, j] + b[i, j]
//
// Shapes: a, b and out [rows, n].
//
// Work: one invocation for each element.

// With lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/elements.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  out[p.outOffset + row * p.outStride + column] =
    a[p.aOffset + rowOffset(row, p.frameRows, p.aFrame, p.aStride) + column]
    + b[p.bOffset + rowOffset(row, p.frameRows, p.bFrame, p.bStride) + column];
}
