// Copies rows to given positions of each frame. All other positions get the token:
//
//     out[b, t, index[b, i]] = x[b, t, i]
//
// Shapes: x [b, t, v, d]; index [b, v]; token [d]; out [b, t, n, d]. Without a token, the
// other positions are 0.
//
// Work: a workgroup for each row of out. Its invocations search the index for the position of the
// row, then copy the row of x or the token. So each element is written once, in one dispatch.

// With lib/rows.wgsl, lib/indices.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/tokens.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<f32>;
@group(0) @binding(4) var<storage, read> token: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let frame = row / p.n;
  let indexAt = p.indexOffset + frame / p.t * p.indexStride;
  var last = -1.0;
  for (var i = local; i < p.v; i += 64u) {
    if (indexOf(index[indexAt + i], p.n) == row % p.n) {
      last = f32(i);
    }
  }
  let place = largestOf(local, last, 0u);
  let xAt = p.xOffset + frame * p.xFrame + u32(max(place, 0.0)) * p.xStride;
  let outAt = p.outOffset + row * p.outStride;
  for (var i = local; i < p.d; i += 64u) {
    var v = 0.0;
    if (place >= 0.0) {
      v = x[xAt + i];
    } else if (p.hasToken == 1u) {
      v = token[i];
    }
    out[outAt + i] = v;
  }
}
