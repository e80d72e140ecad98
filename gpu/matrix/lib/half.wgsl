// Tiles for matrix units, with a kernel in float16. x is rounded to float16.
//
// Calls matrix.wgsl and lib/kernel.half.wgsl, which has the types Four and Quad.
//
// Shapes: x [rows, blocks·k] with a stride; kernel [blocks, k, n], n a multiple of 8, so that rows
// begin at multiples of 16 bytes. Each vec4 of sums is passed to the epilogue once.
//
// The rows of x of a stage are rounded and copied to workgroup memory. Each number of the kernel
// has one reader, so it is loaded straight from the weights. The kernel is read beyond k and n: its
// buffer ends with as many zeros (spareOf in matrix.ts).
//
// Accuracy: WGSL lets a conversion to float16 round either way, and a number below 2^-14 may become
// zero. So a number of x has an error of at most 2^-10 of it, or 2^-14, and a sum one of at most
// 2^-10·Σ|x·kernel| + 2^-14·Σ|kernel|, on top of the roundings of a float32 sum. Numbers beyond
// 65504 become 65504.

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
      staged[eight / EIGHTS * X_STRIDE + eight % EIGHTS] = vec4u(
        halves(inside(loaded[2u * i], at)), halves(inside(loaded[2u * i + 1u], at + 4u)));
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
