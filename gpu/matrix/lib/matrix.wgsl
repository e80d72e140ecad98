// The tile of a matrix product for matrix units, in place of lib/tile.wgsl: ROWS rows × COLUMNS
// columns of
//
//     sum[i, q·n + j] = Σ_k' h(x[i, q·k + k'])·kernel[q, k', j]
//
// for one block of columns q. h rounds to float16. This is a template with the arguments of
// lib/tile.wgsl; src/backend/webgpu/matrix.ts puts the constants before it:
//
//     M, N, K    a subgroup multiplies a matrix [M, K] by one [K, N] in one instruction
//     SUBGROUP   invocations of a subgroup
//     SUBGROUPS  subgroups of a workgroup
//     DOWN       matrices [M, N] of a tile, from top to bottom
//     ACROSS     the same from left to right
//
// Calls lib/kernel.half.wgsl, which has the types Four and Quad, and lib/frames.wgsl.
//
// Shapes: x [rows, blocks·k] with a stride; kernel [blocks, k, n] in float16, n a multiple of 8, so
// that rows begin at multiples of 16 bytes. Each vec4 of sums is passed to the epilogue once.
//
// Tiling: a frame has few rows, so subgroups split k. Each computes the whole tile for every
// SUBGROUPS-th part of K of k, and the sums of the subgroups are added in the end. A stage is one
// part for each subgroup. The rows of x of a stage are rounded and copied to workgroup memory; each
// number of the kernel has one reader, so it is loaded straight from the weights. Loads of the next
// stage come before the multiplications of this one.
//
// Edges: rows beyond the last one repeat it, and the epilogue drops them. Beyond k, x is zero. The
// kernel is read beyond k and n: its buffer ends with as many zeros (spareOf in matrix.ts).
//
// Accuracy: WGSL lets a conversion to float16 round either way, and a number below 2^-14 may become
// zero. So a number of x has an error of at most 2^-10 of it, or 2^-14, and a sum one of at most
// 2^-10·Σ|x·kernel| + 2^-14·Σ|kernel|, on top of the roundings of a float32 sum. Numbers beyond
// 65504 become 65504.

/** Whether x can be loaded as vec4: its rows begin at multiples of 4 elements, and so does k. */
override ALIGNED: bool = true;

const ROWS = DOWN * M;
const COLUMNS = ACROSS * N;
const INVOCATIONS = SUBGROUPS * SUBGROUP;
/** Numbers of k in a stage. */
const STAGE = SUBGROUPS * K;
/** Eights of k in a stage: a vec4u has eight numbers of x. */
const EIGHTS = STAGE / 8u;
/** Distance from one row of a stage to the next, in vec4u. The spare one spreads the banks. */
const X_STRIDE = EIGHTS + 1u;
/** Eights of a stage that one invocation loads. */
const LOADS = ROWS * EIGHTS / INVOCATIONS;
/** vec4 of columns of a tile. */
const QUADS = COLUMNS / 4u;
/** vec4 of sums that one subgroup stores at a time: M rows of the tile. */
const STRIP = M * QUADS;

alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sums = subgroup_matrix_result<f32, N, M>;

/** A stage of x, [ROWS, X_STRIDE]. In the end, the sums of the subgroups for M rows. */
var<workgroup> staged: array<vec4u, max(ROWS * X_STRIDE, SUBGROUPS * STRIP)>;

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) slice: u32,
) {
  let block = group.z;
  let row = group.y * ROWS;
  let column = group.x * COLUMNS;
  let columns = ($sizes.n + 3u) / 4u;
  let kernelFrom = (block * $sizes.k + slice * K) * columns + column / 4u;
  var rows: array<u32, LOADS>;
  var loaded: array<vec4f, 2u * LOADS>;
  for (var i = 0u; i < LOADS; i++) {
    let eight = local + i * INVOCATIONS;
    rows[i] = xRow(block, row + eight / EIGHTS);
    loaded[2u * i] = xNext(rows[i], 8u * (eight % EIGHTS));
    loaded[2u * i + 1u] = xNext(rows[i], 8u * (eight % EIGHTS) + 4u);
  }
  var right: array<Right, ACROSS>;
  for (var j = 0u; j < ACROSS; j++) {
    right[j] = subgroupMatrixLoad<Right, row_major>(&$kernel, kernelFrom + j * N / 4u, columns);
  }
  var sums: array<array<Sums, ACROSS>, DOWN>;
  for (var k = 0u; k < $sizes.k; k += STAGE) {
    for (var i = 0u; i < LOADS; i++) {
      let eight = local + i * INVOCATIONS;
      let at = k + 8u * (eight % EIGHTS);
      staged[eight / EIGHTS * X_STRIDE + eight % EIGHTS] =
        vec4u(halves(loaded[2u * i], at), halves(loaded[2u * i + 1u], at + 4u));
    }
    workgroupBarrier();
    // After the last stage, the first one is loaded again and not used.
    let next = select(0u, k + STAGE, k + STAGE < $sizes.k);
    for (var i = 0u; i < LOADS; i++) {
      let at = next + 8u * ((local + i * INVOCATIONS) % EIGHTS);
      loaded[2u * i] = xNext(rows[i], at);
      loaded[2u * i + 1u] = xNext(rows[i], at + 4u);
    }
    var rightNext: array<Right, ACROSS>;
    for (var j = 0u; j < ACROSS; j++) {
      rightNext[j] = subgroupMatrixLoad<Right, row_major>(
        &$kernel, kernelFrom + next * columns + j * N / 4u, columns);
    }
    for (var i = 0u; i < DOWN; i++) {
      let left = subgroupMatrixLoad<Left, row_major>(
        &staged, i * M * X_STRIDE + slice * K / 8u, X_STRIDE);
      for (var j = 0u; j < ACROSS; j++) {
        sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]);
      }
    }
    right = rightNext;
    workgroupBarrier();
  }

  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      subgroupMatrixStore<row_major>(&staged, slice * STRIP + j * N / 4u, sums[i][j], QUADS);
    }
    workgroupBarrier();
    for (var quad = local; quad < STRIP; quad += INVOCATIONS) {
      var sum = Quad();
      for (var part = 0u; part < SUBGROUPS; part++) {
        sum += bitcast<Quad>(staged[part * STRIP + quad]);
      }
      $epilogue(block, row + i * M + quad / QUADS, column + quad % QUADS * 4u, sum);
    }
    workgroupBarrier();
  }
}

/** Where a row of x begins in a block of columns. Rows beyond the last one repeat it. */
fn xRow(block: u32, row: u32) -> u32 {
  let last = min(row, $sizes.rows - 1u);
  return $sizes.xOffset + rowOffset(last, $sizes.frameRows, $sizes.xFrame, $sizes.xStride)
    + block * $sizes.k;
}

/** Four numbers of a row of x. Those beyond k are any numbers of the row. */
fn xNext(begin: u32, k: u32) -> vec4f {
  let at = begin + select(0u, k, k < $sizes.k);
  if (ALIGNED) {
    return $x[at >> 2u];
  }
  return vec4f(
    $x[at >> 2u][at & 3u],
    $x[(at + 1u) >> 2u][(at + 1u) & 3u],
    $x[(at + 2u) >> 2u][(at + 2u) & 3u],
    $x[(at + 3u) >> 2u][(at + 3u) & 3u]);
}

/** Rounds four numbers to float16. Those beyond k become zero. */
fn halves(v: vec4f, k: u32) -> vec2u {
  let inside = select(vec4f(), v, k + vec4u(0u, 1u, 2u, 3u) < vec4u($sizes.k));
  let bounded = clamp(inside, vec4f(-65504.0), vec4f(65504.0));
  return vec2u(pack2x16float(bounded.xy), pack2x16float(bounded.zw));
}
