// Softmax attention without a mask, for each frame and head:
//
//     p[i, :] = softmax_j(q[i]·k[j] / √r)
//     out[i]  = Σ_j p[i, j]·v[j]
//
// Shapes: q and out [frames, nq, heads·r]; k and v [frames, n, heads·r], each with a row stride.
//
// Tiling: a workgroup computes 16 rows × 64 columns of one head of one frame. An invocation
// computes the scores of 4 rows with 4 keys, then 4 rows × 4 columns of the output. Both cost 16
// multiplications for 2 loads of vec4. A head wider than 64 columns takes a workgroup for each 64
// columns, and each of them computes the same scores.
//
// Keys: a workgroup has four quarters of 64 invocations. In each turn a quarter takes 64 keys. The
// keys are read once, with a running maximum and sum, so their number is not limited. In the end
// the sums of the quarters are added. With one quarter only, a frame of few tokens would leave most
// of a GPU idle.

/**
 * Whether q, k and v can be loaded as vec4: their rows begin at multiples of 4 elements, and so
 * does each head.
 */
override ALIGNED: bool = true;

// With lib/exponential.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/attention.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k: array<vec4f>;
@group(0) @binding(4) var<storage, read> v: array<vec4f>;

const LOWEST = -3.4028234e38;

/**
 * Values exchanged between invocations, first within a quarter, then between quarters: [4 quarters,
 * 4 groups of rows, 64], each a vec4 of the 4 rows of a group.
 */
var<workgroup> swap: array<vec4f, 1024>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let blocks = (p.r + 63u) / 64u;
  let quarter = local / 64u;
  let within = local % 64u;
  let row = group.x * 16u + within / 16u * 4u;
  let head = group.y / blocks;
  let frame = group.z;
  let lane = local % 16u;
  let column = group.y % blocks * 64u + lane * 4u;
  let mine = local / 16u * 64u;
  let scale = 1.0 / sqrt(f32(p.r));
  // A power of two that keeps the sum of all weights below 1. Sums of values then stay in the range
  // of the values.
  let share = bitcast<f32>((95u + countLeadingZeros(p.n)) << 23u);

  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  var largest = vec4f(LOWEST);
  var total = vec4f();
  for (var start = 0u; start < p.n; start += 256u) {
    // Scores of 4 rows with the keys lane, lane + 16, lane + 32 and lane + 48 of the quarter's 64.
    let first = start + quarter * 64u;
    let key = first + lane;
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    if (first < p.n) {
      for (var c = 0u; c < p.r; c += 4u) {
        let q0 = qAt(frame, row, head, c);
        let q1 = qAt(frame, row + 1u, head, c);
        let q2 = qAt(frame, row + 2u, head, c);
        let q3 = qAt(frame, row + 3u, head, c);
        var keys = kAt(frame, key, head, c);
        s0 += vec4f(dot(q0, keys), dot(q1, keys), dot(q2, keys), dot(q3, keys));
        keys = kAt(frame, key + 16u, head, c);
        s1 += vec4f(dot(q0, keys), dot(q1, keys), dot(q2, keys), dot(q3, keys));
        keys = kAt(frame, key + 32u, head, c);
        s2 += vec4f(dot(q0, keys), dot(q1, keys), dot(q2, keys), dot(q3, keys));
        keys = kAt(frame, key + 48u, head, c);
        s3 += vec4f(dot(q0, keys), dot(q1, keys), dot(q2, keys), dot(q3, keys));
      }
    }
    s0 = select(vec4f(LOWEST), s0 * scale, key < p.n);
    s1 = select(vec4f(LOWEST), s1 * scale, key + 16u < p.n);
    s2 = select(vec4f(LOWEST), s2 * scale, key + 32u < p.n);
    s3 = select(vec4f(LOWEST), s3 * scale, key + 48u < p.n);

    // The largest score of each row so far. The sums so far are scaled to it.
    swap[mine + lane] = max(max(s0, s1), max(s2, s3));
    workgroupBarrier();
    let before = largest;
    for (var other = 0u; other < 16u; other++) {
      largest = max(largest, swap[mine + other]);
    }
    let shrink = exponential(before - largest);
    a0 *= shrink.x;
    a1 *= shrink.y;
    a2 *= shrink.z;
    a3 *= shrink.w;
    total *= shrink;
    workgroupBarrier();
    swap[mine + lane] = select(vec4f(), share * exponential(s0 - largest), key < p.n);
    swap[mine + lane + 16u] = select(vec4f(), share * exponential(s1 - largest), key + 16u < p.n);
    swap[mine + lane + 32u] = select(vec4f(), share * exponential(s2 - largest), key + 32u < p.n);
    swap[mine + lane + 48u] = select(vec4f(), share * exponential(s3 - largest), key + 48u < p.n);
    workgroupBarrier();

    let count = min(64u, p.n - min(first, p.n));
    for (var j = 0u; j < count; j += 4u) {
      let weight0 = swap[mine + j];
      let weight1 = swap[mine + j + 1u];
      let weight2 = swap[mine + j + 2u];
      let weight3 = swap[mine + j + 3u];
      let value0 = vAt(frame, first + j, head, column);
      let value1 = vAt(frame, first + j + 1u, head, column);
      let value2 = vAt(frame, first + j + 2u, head, column);
      let value3 = vAt(frame, first + j + 3u, head, column);
      total += weight0 + weight1 + weight2 + weight3;
      a0 += weight0.x * value0 + weight1.x * value1 + weight2.x * value2 + weight3.x * value3;
      a1 += weight0.y * value0 + weight1.y * value1 + weight2.y * value2 + weight3.y * value3;
      a2 += weight0.z * value0 + weight1.z * value1 + weight2.z * value2 + weight3.z * value3;
      a3 += weight0.w * value0 + weight1.w * value1 + weight2.w * value2 + weight3.w * value3;
    }
    workgroupBarrier();
  }

  // Adds the sums of all quarters, scaled to the largest score of all.
  swap[local] = largest;
  workgroupBarrier();
  let most = max(
    max(swap[within], swap[within + 64u]),
    max(swap[within + 128u], swap[within + 192u]));
  let shrink = exponential(largest - most);
  workgroupBarrier();
  swap[local] = total * shrink;
  workgroupBarrier();
  let sum = swap[within] + swap[within + 64u] + swap[within + 128u] + swap[within + 192u];
  workgroupBarrier();
  swap[local] = a0 * shrink.x;
  swap[local + 256u] = a1 * shrink.y;
  swap[local + 512u] = a2 * shrink.z;
  swap[local + 768u] = a3 * shrink.w;
  workgroupBarrier();
  // A quarter stores one row of each group.
  let place = quarter * 256u + within;
  store(frame, row + quarter, head, column,
    (swap[place] + swap[place + 64u] + swap[place + 128u] + swap[place + 192u]) / sum[quarter]);
}

/**
 * Columns c..c+3 of a row of q in one head, zero beyond the last column. Rows beyond the last one
 * repeat it.
 */
fn qAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  let at = p.qOffset + frame * p.qFrame + min(row, p.nq - 1u) * p.qStride + head * p.r + c;
  if (ALIGNED) {
    return q[at >> 2u];
  }
  return select(vec4f(), vec4f(
    q[at >> 2u][at & 3u],
    q[(at + 1u) >> 2u][(at + 1u) & 3u],
    q[(at + 2u) >> 2u][(at + 2u) & 3u],
    q[(at + 3u) >> 2u][(at + 3u) & 3u]), c + vec4u(0u, 1u, 2u, 3u) < vec4u(p.r));
}

/** Columns c..c+3 of a row of k in one head, as qAt. */
fn kAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  let at = p.kOffset + frame * p.kFrame + min(row, p.n - 1u) * p.kStride + head * p.r + c;
  if (ALIGNED) {
    return k[at >> 2u];
  }
  return select(vec4f(), vec4f(
    k[at >> 2u][at & 3u],
    k[(at + 1u) >> 2u][(at + 1u) & 3u],
    k[(at + 2u) >> 2u][(at + 2u) & 3u],
    k[(at + 3u) >> 2u][(at + 3u) & 3u]), c + vec4u(0u, 1u, 2u, 3u) < vec4u(p.r));
}

/** Columns c..c+3 of a row of v in one head, zero beyond the last column. */
fn vAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  if (c >= p.r) {
    return vec4f();
  }
  let at = p.vOffset + frame * p.vFrame + min(row, p.n - 1u) * p.vStride + head * p.r + c;
  if (ALIGNED) {
    return v[at >> 2u];
  }
  return select(vec4f(), vec4f(
    v[at >> 2u][at & 3u],
    v[(at + 1u) >> 2u][(at + 1u) & 3u],
    v[(at + 2u) >> 2u][(at + 2u) & 3u],
    v[(at + 3u) >> 2u][(at + 3u) & 3u]), c + vec4u(0u, 1u, 2u, 3u) < vec4u(p.r));
}

fn store(frame: u32, row: u32, head: u32, c: u32, value: vec4f) {
  if (row >= p.nq || c >= p.r) {
    return;
  }
  let at = p.outOffset + (frame * p.nq + row) * p.outStride + head * p.r + c;
  out[at] = value.x;
  if (ALIGNED || c + 1u < p.r) {
    out[at + 1u] = value.y;
  }
  if (ALIGNED || c + 2u < p.r) {
    out[at + 2u] = value.z;
  }
  if (ALIGNED || c + 3u < p.r) {
    out[at + 3u] = value.w;
  }
}
