// Gradient of the kernel of linear or blockLinear: for each block q,
//
//     dkernel[q·k + i, j] = Σ_r x[r, q·k + i]·dy[r, q·n + j]
//
// Shapes: x [rows, blocks·k]; dy [rows, blocks·n]; dkernel [blocks·k, n].
//
// Tiling: the tile of lib/product.wgsl, which sums over all rows. The z of a workgroup is its
// block.

// With lib/frames.wgsl, lib/product.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/products.ts.
@group(0) @binding(1) var<storage, read_write> dkernel: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

const ALONG_K = false;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  product(group, local, p.rows);
}

fn leftAt(block: u32, i: u32, row: u32) -> f32 {
  if (i >= p.k || row >= p.rows) {
    return 0.0;
  }
  return x[p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride) + block * p.k + i];
}

fn rightAt(block: u32, row: u32, j: u32) -> f32 {
  if (j >= p.n || row >= p.rows) {
    return 0.0;
  }
  return dy[p.dyOffset + rowOffset(row, p.frameRows, p.dyFrame, p.dyStride) + block * p.n + j];
}

fn finish(block: u32, i: u32, j: u32, sum: f32) {
  if (i < p.k && j < p.n) {
    dkernel[p.dkernelOffset + (block * p.k + i) * p.dkernelStride + j] = sum;
  }
}
