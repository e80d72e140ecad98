// The columns of two or three tensors, one after the other:
//
//     out[i] = [a[i], b[i], c[i]]
//
// Shapes: a [rows, na], b [rows, nb], c [rows, nc], out [rows, n], n = na + nb + nc. Without c, nc
// is 0.
//
// Work: one invocation for each element.

// With lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/elements.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  var v: f32;
  if (column < p.na) {
    v = a[p.aOffset + rowOffset(row, p.frameRows, p.aFrame, p.aStride) + column];
  } else if (column < p.na + p.nb) {
    v = b[p.bOffset + rowOffset(row, p.frameRows, p.bFrame, p.bStride) + column - p.na];
  } else {
    v = c[p.cOffset + rowOffset(row, p.frameRows, p.cFrame, p.cStride) + column - p.na - p.nb];
  }
  out[p.outOffset + row * p.outStride + column] = v;
}
