// Gradient of the input of linear or blockLinear: for each block q,
//
//     dx[r, q·k + i] = Σ_j dy[r, q·n + j]·kernel[q, i, j] + add[r, q·k + i]
//
// Shapes: dy [rows, blocks·n]; dx and add [rows, blocks·k]; kernel [blocks, k, ⌈n/4⌉] of four
// numbers each. add is optional.
//
// Tiling: the tile of lib/product.wgsl. The z of a workgroup is its block.

// With lib/kernel.wgsl, lib/frames.wgsl, lib/product.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/products.ts.
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> kernel: array<Four>;

const ALONG_K = true;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  product(group, local, p.n);
}

fn leftAt(block: u32, row: u32, j: u32) -> f32 {
  if (row >= p.rows || j >= p.n) {
    return 0.0;
  }
  return dy[p.dyOffset + rowOffset(row, p.frameRows, p.dyFrame, p.dyStride) + block * p.n + j];
}

fn rightAt(block: u32, j: u32, column: u32) -> f32 {
  if (column >= p.k || j >= p.n) {
    return 0.0;
  }
  let four = kernel[(block * p.k + column) * ((p.n + 3u) / 4u) + j / 4u];
  return numbers(four)[j % 4u];
}

fn finish(block: u32, row: u32, column: u32, sum: f32) {
  if (row >= p.rows || column >= p.k) {
    return;
  }
  let at = block * p.k + column;
  var v = sum;
  if (p.added == 1u) {
    v += add[p.addOffset + rowOffset(row, p.frameRows, p.addFrame, p.addStride) + at];
  }
  dx[p.dxOffset + row * p.dxStride + at] = v;
}
