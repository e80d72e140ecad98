// Matrix product with an epilogue:
//
//     out[i, j] = f(Σ_k x[i, k]·kernel[k, j] + bias[j]) · multiply[i, j] + add[i, j]
//               + table[i mod tableRows, j]
//
// f is the activation; it acts on columns 0 to activated − 1. All but the sum is optional.
//
// Shapes: x [rows, k]; out, multiply and add [rows, n], each with a row stride. kernel [k, n]; bias
// [⌈n/4⌉] vec4; table [tableRows, ⌈n/4⌉] vec4. The parts of the epilogue are chosen by parameters,
// not by constants: one pipeline serves all layers, and the choice is made once for 16 rows.
//
// Entry point `main`: the tile of lib/tile.wgsl, which also describes the layout of the kernel.
//
// Entry point `few`: for a few rows (the head, or one token of each frame), in lib/few.wgsl.
//
// Moments: if n is a multiple of 32, the mean of each 32 columns and the sum of their squared
// deviations from it may be stored after each row of out. A norm in the product that reads out uses
// them (fused/normLinear.wgsl).
//
// Int8: x is quantised (quantize.wgsl), kernel and x are packed integers, and their sums are exact.
// lib/blocks.int8.wgsl multiplies them by their scales.

// With lib/kernel.wgsl, lib/blocks.wgsl, lib/frames.wgsl, lib/tile.wgsl, lib/few.wgsl,
// lib/exponential.wgsl, lib/activations.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/products.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<Quad>;
@group(0) @binding(3) var<storage, read> multiply: array<vec4f>;
@group(0) @binding(4) var<storage, read> add: array<vec4f>;
@group(0) @binding(5) var<storage, read> kernel: array<Four>;
@group(0) @binding(6) var<storage, read> bias: array<vec4f>;
@group(0) @binding(7) var<storage, read> table: array<vec4f>;

/**
 * The epilogue: bias, activation, product, sum and table, for the columns column..column+3, as far
 * as they exist. If ALIGNED, the rows of multiply and add begin at multiples of 4 elements, and so
 * does n.
 */
fn finish(block: u32, row: u32, column: u32, sum: Quad) {
  if (row >= p.rows || column >= p.n) {
    return;
  }
  var v = scaled(block, row, column, sum);
  if (p.biased == 1u) {
    v += bias[column >> 2u];
  }
  v = activate(v, column, p.activation, p.activated);
  if (p.multiplied == 1u) {
    v *= multiplyAt(p.multiplyOffset
      + rowOffset(row, p.frameRows, p.multiplyFrame, p.multiplyStride) + column);
  }
  if (p.added == 1u) {
    v += addAt(p.addOffset + rowOffset(row, p.frameRows, p.addFrame, p.addStride) + column);
  }
  if (p.tableRows != 0u) {
    v += table[(row % p.tableRows) * ((p.n + 3u) / 4u) + (column >> 2u)];
  }
  let at = p.outOffset + row * p.outStride + column;
  out[at] = v.x;
  if (ALIGNED || column + 1u < p.n) {
    out[at + 1u] = v.y;
  }
  if (ALIGNED || column + 2u < p.n) {
    out[at + 2u] = v.z;
  }
  if (ALIGNED || column + 3u < p.n) {
    out[at + 3u] = v.w;
  }
}

/**
 * Stores the moments of the rows of a tile, each by one invocation. It reads what others of the
 * workgroup have stored: 5 KB of a tile, once.
 */
fn finished(row: u32, column: u32, local: u32) {
  if (p.moments == 0u) {
    return;
  }
  storageBarrier();
  if (local >= 40u || row + local >= p.rows) {
    return;
  }
  let rowBegin = p.outOffset + (row + local) * p.outStride;
  let begin = rowBegin + 4u * column;
  var sum = 0.0;
  for (var i = 0u; i < 32u; i++) {
    sum += out[begin + i];
  }
  let mean = sum / 32.0;
  var squares = 0.0;
  for (var i = 0u; i < 32u; i++) {
    let deviation = out[begin + i] - mean;
    squares += deviation * deviation;
  }
  // Two numbers for each 8 vec4 of columns.
  out[rowBegin + p.n + column / 4u] = mean;
  out[rowBegin + p.n + column / 4u + 1u] = squares;
}

fn multiplyAt(at: u32) -> vec4f {
  if (ALIGNED) {
    return multiply[at >> 2u];
  }
  return vec4f(
    multiply[at >> 2u][at & 3u],
    multiply[(at + 1u) >> 2u][(at + 1u) & 3u],
    multiply[(at + 2u) >> 2u][(at + 2u) & 3u],
    multiply[(at + 3u) >> 2u][(at + 3u) & 3u]);
}

fn addAt(at: u32) -> vec4f {
  if (ALIGNED) {
    return add[at >> 2u];
  }
  return vec4f(
    add[at >> 2u][at & 3u],
    add[(at + 1u) >> 2u][(at + 1u) & 3u],
    add[(at + 2u) >> 2u][(at + 2u) & 3u],
    add[(at + 3u) >> 2u][(at + 3u) & 3u]);
}
