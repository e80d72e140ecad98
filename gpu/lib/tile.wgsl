// A workgroup's tile of 64 × 64 of Σ_k' x[i, q·k + k']·kernel[q, k', j], for the block of columns q: what linear and blockLinear share.
//
// x [rows, blocks·k] with a stride; kernel [blocks, k, ⌈n/4⌉] times four numbers, zero where there is no column: 16 bytes of float32, or 8
// of float16 (HALF), which every device can unpack, with the feature shader-f16 or without. Sums are float32 in either case.
//
// An invocation computes 8 × 4 in eight named vec4. Every 4 steps of k cost it 8 + 4 loads of vec4 from workgroup memory for 128
// multiplications. Tiles of 16 k lie there twice (16 KiB in all): while one is multiplied, the next is on its way, which leaves one barrier
// a tile. Sums end in finish(block, row, column, sum) of the kernel, which also declares `p`, `x` and `kernel`.

/** Rows of x begin at multiples of 4 elements, and k is such a multiple: one load fetches 4 elements. */
override ALIGNED: bool = true;
/** The kernel is float16. */
override HALF: bool = false;

const TILE = 64u;
/** k of a tile, and vec4 of k. */
const TILE_K = 16u;
const QUADS = 4u;

/** Two tiles of x, [64 rows, 4 vec4 of k], and two of the kernel, [16 k, 16 vec4 of columns]. */
var<workgroup> xTiles: array<vec4f, 512>;
var<workgroup> kernelTiles: array<vec4f, 512>;

fn tile(group: vec3u, local: u32) {
  let block = group.z;
  let row = group.y * TILE;
  let column = group.x * TILE;
  // What this invocation fetches: two vec4 of each tile, 32 rows and 8 k apart.
  let xRow = row + local / QUADS;
  let xK = (local % QUADS) * 4u;
  let kernelK = local / 16u;
  let kernelColumn = column / 4u + local % 16u;
  // And what it computes: 8 rows of 4 columns.
  let xFrom = (local / 16u) * 8u * QUADS;
  let kernelFrom = local % 16u;

  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  var a4 = vec4f();
  var a5 = vec4f();
  var a6 = vec4f();
  var a7 = vec4f();
  var half = 0u;
  xTiles[local] = xAt(block, xRow, xK);
  xTiles[local + 128u] = xAt(block, xRow + 32u, xK);
  kernelTiles[local] = kernelAt(block, kernelK, kernelColumn);
  kernelTiles[local + 128u] = kernelAt(block, kernelK + 8u, kernelColumn);
  workgroupBarrier();
  for (var k = TILE_K; ; k += TILE_K) {
    let x0 = xAt(block, xRow, k + xK);
    let x1 = xAt(block, xRow + 32u, k + xK);
    let kernel0 = kernelAt(block, k + kernelK, kernelColumn);
    let kernel1 = kernelAt(block, k + kernelK + 8u, kernelColumn);
    for (var quad = 0u; quad < QUADS; quad++) {
      let base = half + kernelFrom + quad * 64u;
      let w0 = kernelTiles[base];
      let w1 = kernelTiles[base + 16u];
      let w2 = kernelTiles[base + 32u];
      let w3 = kernelTiles[base + 48u];
      let at = half + xFrom + quad;
      var v = xTiles[at];
      a0 = a0 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 4u];
      a1 = a1 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 8u];
      a2 = a2 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 12u];
      a3 = a3 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 16u];
      a4 = a4 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 20u];
      a5 = a5 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 24u];
      a6 = a6 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
      v = xTiles[at + 28u];
      a7 = a7 + v.x * w0 + v.y * w1 + v.z * w2 + v.w * w3;
    }
    if (k >= p.k) {
      break;
    }
    half ^= 256u;
    xTiles[half + local] = x0;
    xTiles[half + local + 128u] = x1;
    kernelTiles[half + local] = kernel0;
    kernelTiles[half + local + 128u] = kernel1;
    workgroupBarrier();
  }

  let outRow = row + (local / 16u) * 8u;
  let outColumn = column + kernelFrom * 4u;
  finish(block, outRow, outColumn, a0);
  finish(block, outRow + 1u, outColumn, a1);
  finish(block, outRow + 2u, outColumn, a2);
  finish(block, outRow + 3u, outColumn, a3);
  finish(block, outRow + 4u, outColumn, a4);
  finish(block, outRow + 5u, outColumn, a5);
  finish(block, outRow + 6u, outColumn, a6);
  finish(block, outRow + 7u, outColumn, a7);
}

/** x[row, block·k + k..k+3], zero beyond the last k of the block; rows beyond the last repeat it. */
fn xAt(block: u32, row: u32, k: u32) -> vec4f {
  if (k >= p.k) {
    return vec4f();
  }
  let at = p.xOffset + min(row, p.rows - 1u) * p.xStride + block * p.k + k;
  if (ALIGNED) {
    return x[at >> 2u];
  }
  return select(vec4f(), vec4f(x[at >> 2u][at & 3u], x[(at + 1u) >> 2u][(at + 1u) & 3u], x[(at + 2u) >> 2u][(at + 2u) & 3u],
    x[(at + 3u) >> 2u][(at + 3u) & 3u]), k + vec4u(0u, 1u, 2u, 3u) < vec4u(p.k));
}

/** kernel[block, k, 4·column..4·column+3], zero beyond the last k; columns beyond the last repeat it. */
fn kernelAt(block: u32, k: u32, column: u32) -> vec4f {
  if (k >= p.k) {
    return vec4f();
  }
  let columns = (p.n + 3u) / 4u;
  let at = (block * p.k + k) * columns + min(column, columns - 1u);
  if (HALF) {
    let two = kernel[at >> 1u];
    let words = select(two.xy, two.zw, (at & 1u) == 1u);
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
  }
  return bitcast<vec4f>(kernel[at]);
}
