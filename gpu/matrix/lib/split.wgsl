// Tiles for matrix units, with a kernel in float32. x and the kernel are each split into two
// float16 numbers.
//
//     x = high + 2^-11·low, high = h(x), low = h(2^11·(x − high))
//     x·w ≈ high·high + 2^-11·(high·low + low·high)
//
// h rounds to float16. The product of both low parts is omitted. Without the factor 2^11 low parts
// of small numbers would be subnormal.
//
// Calls matrix.wgsl and lib/kernel.wgsl, which has the types Four and Quad.
//
// Shapes: x [rows, blocks·k] with a stride; kernel [blocks, k, ⌈n/4⌉] vec4. Each vec4 of sums is
// passed to the epilogue once. Rows of the kernel beyond k repeat the last one, where x is zero.
//
// Accuracy: h is off by at most 2^-10 of a number, or 2^-14 (half.wgsl). So high + 2^-11·low is off
// by at most 2^-20 of the number, or 2^-24. The omitted product is at most 2^-20·|x·w|. A sum is
// off by at most 3·2^-20·Σ|x·w| + 2^-24·Σ(|x| + |w|), on top of the roundings of a float32 sum.
// Numbers beyond 65504 become 65504.

alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sums = subgroup_matrix_result<f32, N, M>;

/** Eights of columns in a tile. */
const W_EIGHTS = COLUMNS / 8u;
/** Distance from one row of the kernel in a stage to the next, in vec4u. */
const W_STRIDE = W_EIGHTS + 1u;
/** Eights of the kernel that one invocation loads. */
const W_LOADS = STAGE * W_EIGHTS / INVOCATIONS;
/** Where the parts of a stage begin; the high part of x does at 0. */
const X_LOW = ROWS * X_STRIDE;
const W_HIGH = 2u * X_LOW;
const W_LOW = W_HIGH + STAGE * W_STRIDE;

/** A stage of x and of the kernel. In the end, the sums of the subgroups for M rows. */
var<workgroup> staged: array<vec4u, max(W_LOW + STAGE * W_STRIDE, 2u * SUBGROUPS * STRIP)>;

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) slice: u32,
) {
  let block = group.z;
  let row = group.y * ROWS;
  let column = group.x * COLUMNS;
  var rows: array<u32, LOADS>;
  var loaded: array<vec4f, 2u * LOADS>;
  for (var i = 0u; i < LOADS; i++) {
    let eight = local + i * INVOCATIONS;
    rows[i] = xRow(block, row + eight / EIGHTS);
    loaded[2u * i] = xNext(rows[i], 8u * (eight % EIGHTS));
    loaded[2u * i + 1u] = xNext(rows[i], 8u * (eight % EIGHTS) + 4u);
  }
  var loadedW: array<vec4f, 2u * W_LOADS>;
  for (var i = 0u; i < W_LOADS; i++) {
    let eight = local + i * INVOCATIONS;
    let quad = column / 4u + 2u * (eight % W_EIGHTS);
    loadedW[2u * i] = kernelNext(block, eight / W_EIGHTS, quad);
    loadedW[2u * i + 1u] = kernelNext(block, eight / W_EIGHTS, quad + 1u);
  }
  var sums: array<array<Sums, ACROSS>, DOWN>;
  var lows: array<array<Sums, ACROSS>, DOWN>;
  for (var k = 0u; k < $sizes.k; k += STAGE) {
    for (var i = 0u; i < LOADS; i++) {
      let eight = local + i * INVOCATIONS;
      let at = k + 8u * (eight % EIGHTS);
      let a = split(inside(loaded[2u * i], at));
      let b = split(inside(loaded[2u * i + 1u], at + 4u));
      let to = eight / EIGHTS * X_STRIDE + eight % EIGHTS;
      staged[to] = vec4u(a.xy, b.xy);
      staged[X_LOW + to] = vec4u(a.zw, b.zw);
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let eight = local + i * INVOCATIONS;
      let a = split(loadedW[2u * i]);
      let b = split(loadedW[2u * i + 1u]);
      let to = eight / W_EIGHTS * W_STRIDE + eight % W_EIGHTS;
      staged[W_HIGH + to] = vec4u(a.xy, b.xy);
      staged[W_LOW + to] = vec4u(a.zw, b.zw);
    }
    workgroupBarrier();
    // After the last stage, the first one is loaded again and not used.
    let next = select(0u, k + STAGE, k + STAGE < $sizes.k);
    for (var i = 0u; i < LOADS; i++) {
      let at = next + 8u * ((local + i * INVOCATIONS) % EIGHTS);
      loaded[2u * i] = xNext(rows[i], at);
      loaded[2u * i + 1u] = xNext(rows[i], at + 4u);
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let eight = local + i * INVOCATIONS;
      let quad = column / 4u + 2u * (eight % W_EIGHTS);
      loadedW[2u * i] = kernelNext(block, next + eight / W_EIGHTS, quad);
      loadedW[2u * i + 1u] = kernelNext(block, next + eight / W_EIGHTS, quad + 1u);
    }
    var right: array<Right, ACROSS>;
    var rightLow: array<Right, ACROSS>;
    for (var j = 0u; j < ACROSS; j++) {
      let at = slice * K * W_STRIDE + j * N / 8u;
      right[j] = subgroupMatrixLoad<Right, row_major>(&staged, W_HIGH + at, W_STRIDE);
      rightLow[j] = subgroupMatrixLoad<Right, row_major>(&staged, W_LOW + at, W_STRIDE);
    }
    for (var i = 0u; i < DOWN; i++) {
      let at = i * M * X_STRIDE + slice * K / 8u;
      let left = subgroupMatrixLoad<Left, row_major>(&staged, at, X_STRIDE);
      let leftLow = subgroupMatrixLoad<Left, row_major>(&staged, X_LOW + at, X_STRIDE);
      for (var j = 0u; j < ACROSS; j++) {
        sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]);
        lows[i][j] = subgroupMatrixMultiplyAccumulate(left, rightLow[j], lows[i][j]);
        lows[i][j] = subgroupMatrixMultiplyAccumulate(leftLow, right[j], lows[i][j]);
      }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      let to = slice * STRIP + j * N / 4u;
      subgroupMatrixStore<row_major>(&staged, to, sums[i][j], QUADS);
      subgroupMatrixStore<row_major>(&staged, SUBGROUPS * STRIP + to, lows[i][j], QUADS);
    }
    workgroupBarrier();
    for (var quad = local; quad < STRIP; quad += INVOCATIONS) {
      var sum = Quad();
      var low = Quad();
      for (var part = 0u; part < SUBGROUPS; part++) {
        sum += bitcast<Quad>(staged[part * STRIP + quad]);
        low += bitcast<Quad>(staged[(SUBGROUPS + part) * STRIP + quad]);
      }
      sum += low / 2048.0;
      $epilogue(block, row + i * M + quad / QUADS, column + quad % QUADS * 4u, sum);
    }
    workgroupBarrier();
  }
}

/** Four numbers of the kernel. Those beyond the last row and column repeat the last ones. */
fn kernelNext(block: u32, k: u32, quad: u32) -> vec4f {
  let columns = ($sizes.n + 3u) / 4u;
  let row = block * $sizes.k + min(k, $sizes.k - 1u);
  return $kernel[row * columns + min(quad, columns - 1u)];
}

/** The high parts of four numbers, then their low parts. */
fn split(v: vec4f) -> vec4u {
  let bounded = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  let high = halves(bounded);
  let rest = bounded - vec4f(unpack2x16float(high.x), unpack2x16float(high.y));
  return vec4u(high, halves(2048.0 * rest));
}
