// Block-diagonal matrix product: for each block q,
//
//     out[i, q·n + j] = Σ_k' x[i, q·k + k']·kernel[q, k', j] + bias[q·n + j]
//
// Shapes: x [rows, blocks·k], out [rows, blocks·n]; kernel [blocks, k, n]; bias [blocks, ⌈n/4⌉]
// vec4.
//
// Tiling: the tile of lib/tile.wgsl, which also describes the layout of the kernel. The z of a
// workgroup is its block.
//
// Int8: each block of columns of a row of x is quantised by itself (quantize.wgsl), and the kernel
// has a scale for each column of each block. The sums of packed integers are exact.
// lib/blocks.int8.wgsl multiplies them by their scales.

// With lib/kernel.wgsl, lib/blocks.wgsl, lib/frames.wgsl, lib/tile.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/products.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<Quad>;
@group(0) @binding(3) var<storage, read> kernel: array<Four>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;

fn finished(_row: u32, _column: u32, _local: u32) {}

/** The epilogue: adds the bias and stores the columns column..column+3, as far as they exist. */
fn finish(block: u32, row: u32, column: u32, sum: Quad) {
  if (row >= p.rows || column >= p.n) {
    return;
  }
  let v = scaled(block, row, column, sum)
    + bias[block * ((p.n + 3u) / 4u) + (column >> 2u)];
  let at = p.outOffset + row * p.outStride + block * p.n + column;
  out[at] = v.x;
  if (column + 1u < p.n) {
    out[at + 1u] = v.y;
  }
  if (column + 2u < p.n) {
    out[at + 2u] = v.z;
  }
  if (column + 3u < p.n) {
    out[at + 3u] = v.w;
  }
}
