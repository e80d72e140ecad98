// Tiles for matrix units, with a kernel in int8. The sums are exact, those of lib/tile.wgsl.
//
// Calls matrix.wgsl, lib/blocks.int8.wgsl and lib/kernel.int8.wgsl, which have the types Four and
// Quad and describe the packed numbers of x and of the kernel: four k each. p.k counts these words.
//
// Shapes: x [rows, blocks·k], each block of a row begins at a multiple of 4 words; kernel [blocks,
// k, ⌈n/4⌉] vec4 of words. Each vec4 of sums is passed to the epilogue once. Rows of the kernel
// beyond k repeat the last one, where x is zero.
//
// A column of the kernel has its words one after the other in workgroup memory. Two rows of words
// are loaded together, so that eight k of a column are one vec2u.

alias Left = subgroup_matrix_left<i8, K, M>;
alias Right = subgroup_matrix_right<i8, N, K>;
alias Sums = subgroup_matrix_result<i32, N, M>;

/** Words of a stage: four k each. */
const WORDS = STAGE / 4u;
/** vec4 of words of x that one invocation loads. */
const X_LOADS = ROWS * WORDS / 4u / INVOCATIONS;
/** Pairs of vec4 of words of the kernel that one invocation loads. */
const W_LOADS = WORDS / 2u * QUADS / INVOCATIONS;
/** Distance from one row of x, or column of the kernel, to the next, in vec2u. */
const LINE = WORDS / 2u + 2u;
/** Where the kernel begins. */
const W_BEGIN = ROWS * LINE;

/** A stage of x and of the kernel. In the end, the sums of the subgroups for M rows. */
var<workgroup> staged: array<vec2u, max(W_BEGIN + COLUMNS * LINE, 2u * SUBGROUPS * STRIP)>;

@compute @workgroup_size(INVOCATIONS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) slice: u32,
) {
  let block = group.z;
  let row = group.y * ROWS;
  let column = group.x * COLUMNS;
  var rows: array<u32, X_LOADS>;
  var loaded: array<vec4i, X_LOADS>;
  for (var i = 0u; i < X_LOADS; i++) {
    let quad = local + i * INVOCATIONS;
    rows[i] = xRow(block, row + quad / (WORDS / 4u));
    loaded[i] = wordsNext(rows[i], 4u * (quad % (WORDS / 4u)));
  }
  var loadedW: array<vec4i, 2u * W_LOADS>;
  for (var i = 0u; i < W_LOADS; i++) {
    let pair = local + i * INVOCATIONS;
    let at = 2u * (pair / QUADS);
    loadedW[2u * i] = kernelNext(block, at, column / 4u + pair % QUADS);
    loadedW[2u * i + 1u] = kernelNext(block, at + 1u, column / 4u + pair % QUADS);
  }
  var sums: array<array<Sums, ACROSS>, DOWN>;
  for (var k = 0u; k < $sizes.k; k += WORDS) {
    for (var i = 0u; i < X_LOADS; i++) {
      let quad = local + i * INVOCATIONS;
      let v = bitcast<vec4u>(inside(loaded[i], k + 4u * (quad % (WORDS / 4u))));
      let to = quad / (WORDS / 4u) * LINE + 2u * (quad % (WORDS / 4u));
      staged[to] = v.xy;
      staged[to + 1u] = v.zw;
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let pair = local + i * INVOCATIONS;
      let a = bitcast<vec4u>(loadedW[2u * i]);
      let b = bitcast<vec4u>(loadedW[2u * i + 1u]);
      let to = W_BEGIN + 4u * (pair % QUADS) * LINE + pair / QUADS;
      staged[to] = vec2u(a.x, b.x);
      staged[to + LINE] = vec2u(a.y, b.y);
      staged[to + 2u * LINE] = vec2u(a.z, b.z);
      staged[to + 3u * LINE] = vec2u(a.w, b.w);
    }
    workgroupBarrier();
    // After the last stage, the first one is loaded again and not used.
    let next = select(0u, k + WORDS, k + WORDS < $sizes.k);
    for (var i = 0u; i < X_LOADS; i++) {
      loaded[i] = wordsNext(rows[i], next + 4u * ((local + i * INVOCATIONS) % (WORDS / 4u)));
    }
    for (var i = 0u; i < W_LOADS; i++) {
      let pair = local + i * INVOCATIONS;
      let at = next + 2u * (pair / QUADS);
      loadedW[2u * i] = kernelNext(block, at, column / 4u + pair % QUADS);
      loadedW[2u * i + 1u] = kernelNext(block, at + 1u, column / 4u + pair % QUADS);
    }
    var right: array<Right, ACROSS>;
    for (var j = 0u; j < ACROSS; j++) {
      right[j] = subgroupMatrixLoad<Right, col_major>(
        &staged, W_BEGIN + j * N * LINE + slice * K / 8u, LINE);
    }
    for (var i = 0u; i < DOWN; i++) {
      let left = subgroupMatrixLoad<Left, row_major>(
        &staged, i * M * LINE + slice * K / 8u, LINE);
      for (var j = 0u; j < ACROSS; j++) {
        sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]);
      }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      subgroupMatrixStore<row_major>(
        &staged, 2u * slice * STRIP + j * N / 2u, sums[i][j], 2u * QUADS);
    }
    workgroupBarrier();
    for (var quad = local; quad < STRIP; quad += INVOCATIONS) {
      var sum = Quad();
      for (var part = 0u; part < SUBGROUPS; part++) {
        let at = 2u * (part * STRIP + quad);
        sum += bitcast<Quad>(vec4u(staged[at], staged[at + 1u]));
      }
      $epilogue(block, row + i * M + quad / QUADS, column + quad % QUADS * 4u, sum);
    }
    workgroupBarrier();
  }
}

/** Four words of a row of x. Those beyond k are any words of the row. */
fn wordsNext(begin: u32, k: u32) -> vec4i {
  return $x[(begin + select(0u, k, k < $sizes.k)) >> 2u];
}

/** A row of words in four columns. Those beyond the last row and column repeat the last ones. */
fn kernelNext(block: u32, k: u32, quad: u32) -> vec4i {
  let columns = ($sizes.n + 3u) / 4u;
  let row = block * $sizes.k + min(k, $sizes.k - 1u);
  return $kernel[row * columns + min(quad, columns - 1u)];
}
