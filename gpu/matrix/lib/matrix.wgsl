// What tiles for matrix units share: constants, and loads of x. A tile has ROWS rows × COLUMNS
// columns of
//
//     sum[i, q·n + j] = Σ_k' x[i, q·k + k']·kernel[q, k', j]
//
// for one block of columns q. These files are templates with the arguments of gpu/lib/tile.wgsl, in
// whose place they come. src/backend/webgpu/matrix.ts puts constants before them:
//
//     M, N, K    a subgroup multiplies a matrix [M, K] by one [K, N] in one instruction
//     SUBGROUP   invocations of a subgroup
//     SUBGROUPS  subgroups of a workgroup
//     DOWN       matrices [M, N] of a tile, from top to bottom
//     ACROSS     the same from left to right
//
// Calls lib/blocks.wgsl and lib/frames.wgsl. The type Quad is that of a kernel in lib.
//
// Tiling: a frame has few rows, so subgroups split k. Each computes the whole tile for every
// SUBGROUPS-th part of K of k, and the sums of the subgroups are added in the end. A stage is one
// part for each subgroup. Loads of the next stage come before the multiplications of this one.
//
// Edges: rows beyond the last one repeat it, and the epilogue drops them. Beyond k, x is zero.

/** Whether x can be loaded as vec4: its rows begin at multiples of 4 elements, and so does k. */
override ALIGNED: bool = true;

const ROWS = DOWN * M;
const COLUMNS = ACROSS * N;
const INVOCATIONS = SUBGROUPS * SUBGROUP;
/** Numbers of k in a stage. */
const STAGE = SUBGROUPS * K;
/** Eights of k in a stage: a vec4u has eight float16 numbers of x. */
const EIGHTS = STAGE / 8u;
/** Distance from one row of x in a stage to the next, in vec4u. The spare one spreads the banks. */
const X_STRIDE = EIGHTS + 1u;
/** Eights of a stage that one invocation loads. */
const LOADS = ROWS * EIGHTS / INVOCATIONS;
/** vec4 of columns of a tile. */
const QUADS = COLUMNS / 4u;
/** vec4 of sums that one subgroup stores at a time: M rows of the tile. */
const STRIP = M * QUADS;

/** Where a row of x begins in a block of columns. Rows beyond the last one repeat it. */
fn xRow(block: u32, row: u32) -> u32 {
  let last = min(row, $sizes.rows - 1u);
  return $sizes.xOffset + rowOffset(last, $sizes.frameRows, $sizes.xFrame, $sizes.xStride)
    + blockBegin(block);
}

/** Four numbers of a row of x. Those beyond k are any numbers of the row. */
fn xNext(begin: u32, k: u32) -> Quad {
  let at = begin + select(0u, k, k < $sizes.k);
  if (ALIGNED) {
    return $x[at >> 2u];
  }
  return Quad(
    $x[at >> 2u][at & 3u],
    $x[(at + 1u) >> 2u][(at + 1u) & 3u],
    $x[(at + 2u) >> 2u][(at + 2u) & 3u],
    $x[(at + 3u) >> 2u][(at + 3u) & 3u]);
}

/** Four numbers of a row of x from k on. Those beyond the last one are zero. */
fn inside(v: Quad, k: u32) -> Quad {
  return select(Quad(), v, k + vec4u(0u, 1u, 2u, 3u) < vec4u($sizes.k));
}

/** Rounds four numbers to float16. */
fn halves(v: vec4f) -> vec2u {
  let bounded = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  return vec2u(pack2x16float(bounded.xy), pack2x16float(bounded.zw));
}
