// The tile of a product for gradients: 32 rows × 32 columns of
//
//     sum[i, j] = Σ_k left(i, k)·right(k, j)
//
// for one block. A kernel that calls it declares
//
//     ALONG_K                        whether consecutive k are consecutive in memory
//     leftAt(block, row, k) -> f32   zero beyond the last row or k
//     rightAt(block, k, column) -> f32
//     finish(block, row, column, sum: f32), called with each finished sum of the tile
//
// Tiling: 64 invocations, 8 down and 8 across, with 4 × 4 sums each. A stage of 16 k is copied to
// workgroup memory, then multiplied. Neighbouring invocations load neighbouring elements.

/** k of a stage. */
const STAGE = 16u;

/** [16 k, 8 vec4 of rows] and [16 k, 8 vec4 of columns]. */
var<workgroup> stagedLeft: array<vec4f, 128>;
var<workgroup> stagedRight: array<vec4f, 128>;

fn product(group: vec3u, local: u32, depth: u32) {
  let block = group.z;
  let row = group.y * 32u;
  let column = group.x * 32u;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var first = 0u; first < depth; first += STAGE) {
    for (var i = local; i < 128u; i += 64u) {
      let k = select(i / 8u, i % STAGE, ALONG_K);
      let quad = select(i % 8u, i / STAGE, ALONG_K);
      let r = row + 4u * quad;
      let c = column + 4u * quad;
      let at = first + k;
      stagedLeft[k * 8u + quad] = vec4f(leftAt(block, r, at), leftAt(block, r + 1u, at),
        leftAt(block, r + 2u, at), leftAt(block, r + 3u, at));
      stagedRight[k * 8u + quad] = vec4f(rightAt(block, at, c), rightAt(block, at, c + 1u),
        rightAt(block, at, c + 2u), rightAt(block, at, c + 3u));
    }
    workgroupBarrier();
    for (var k = 0u; k < STAGE; k++) {
      let x = stagedLeft[k * 8u + local / 8u];
      let w = stagedRight[k * 8u + local % 8u];
      s0 += x.x * w;
      s1 += x.y * w;
      s2 += x.z * w;
      s3 += x.w * w;
    }
    workgroupBarrier();
  }
  for (var j = 0u; j < 4u; j++) {
    let r = row + local / 8u * 4u;
    let c = column + local % 8u * 4u + j;
    finish(block, r, c, s0[j]);
    finish(block, r + 1u, c, s1[j]);
    finish(block, r + 2u, c, s2[j]);
    finish(block, r + 3u, c, s3[j]);
  }
}
