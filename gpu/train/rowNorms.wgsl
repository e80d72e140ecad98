// The norm of each row:
//
//     out[i] = √(Σ_j x[i, j]²)
//
// Shapes: x [rows, d]; out [rows, 1].
//
// Work: a workgroup for each row. An invocation has every 64th element, and adds their squares in
// blocks.

// With lib/squares.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/sums.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let base = p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride);
  var largest = 0u;
  for (var i = local; i < p.d; i += 64u) {
    largest = max(largest, magnitude(x[base + i]));
  }
  largest = largestMagnitude(local, largest);
  let scale = scaleOf(largest);
  var sum = 0.0;
  for (var first = local; first < p.d; first += 64u * BLOCK) {
    var block = 0.0;
    for (var i = first; i < min(first + 64u * BLOCK, p.d); i += 64u) {
      let v = bitcast<f32>(x[base + i]) * scale;
      block += v * v;
    }
    sum += block;
  }
  let bits = normBits(local, sum, largest);
  if (local == 0u) {
    out[p.outOffset + row * p.outStride] = bits;
  }
}
