// The values of a weight, row-major:
//
//     out[q·k + i, j] = weight[q, i, j]
//
// Shapes: out [blocks·k, n]; weight [blocks·k, ⌈n/4⌉] of four numbers each.
//
// Work: one invocation for each element.

// With lib/kernel.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/weights.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<Four>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  out[p.outOffset + row * p.outStride + column] =
    numbers(weight[row * ((p.n + 3u) / 4u) + column / 4u])[column % 4u];
}
