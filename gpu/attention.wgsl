// out[i] = Σ_j p[i, j]·v[j], p[i, :] = softmax_j(q[i]·k[j] / √r), for each frame and head; no mask.
//
// q, out [frames, nq, heads·r]; k, v [frames, n, heads·r], each with its own row stride. A workgroup computes 16 rows × 64 columns of one
// head of one frame and passes over the keys once, 64 at a time, with a running maximum and sum, so that scores of any number of keys fit.
// An invocation computes the scores of 4 rows with 4 keys, then the sums of the same 4 rows and 4 columns: 16 multiplications for 2 loads
// of vec4 in both. Between them the scores pass through workgroup memory, 8 KiB and two barriers for 64 keys. Heads wider than 64 columns
// take a workgroup for each 64, which compute the same scores.

/** Rows of q, k and v begin at multiples of 4 elements, and r is a multiple of 4: one load fetches 4 elements. */
override ALIGNED: bool = true;

struct Params {
  nq: u32,
  n: u32,
  heads: u32,
  r: u32,
  outOffset: u32,
  outStride: u32,
  qOffset: u32,
  qStride: u32,
  kOffset: u32,
  kStride: u32,
  vOffset: u32,
  vStride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k: array<vec4f>;
@group(0) @binding(4) var<storage, read> v: array<vec4f>;

const LOWEST = -3.4028234e38;

/** [4 groups of rows, 64 keys], a vec4 the 4 rows. */
var<workgroup> scores: array<vec4f, 256>;
var<workgroup> weights: array<vec4f, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let blocks = (p.r + 63u) / 64u;
  let row = group.x * 16u + local / 16u * 4u;
  let head = group.y / blocks;
  let frame = group.z;
  let lane = local % 16u;
  let column = group.y % blocks * 64u + lane * 4u;
  let mine = local / 16u * 64u;
  let scale = 1.0 / sqrt(f32(p.r));
  // A power of two that keeps the sum of all weights below 1, so that sums of values stay in the range of the values.
  let share = bitcast<f32>((95u + countLeadingZeros(p.n)) << 23u);

  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  var largest = vec4f(LOWEST);
  var total = vec4f();
  for (var first = 0u; first < p.n; first += 64u) {
    // Scores of 4 rows with the keys lane, lane + 16, lane + 32 and lane + 48 of these 64.
    let key = first + lane;
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
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
    s0 = select(vec4f(LOWEST), s0 * scale, key < p.n);
    s1 = select(vec4f(LOWEST), s1 * scale, key + 16u < p.n);
    s2 = select(vec4f(LOWEST), s2 * scale, key + 32u < p.n);
    s3 = select(vec4f(LOWEST), s3 * scale, key + 48u < p.n);
    scores[mine + lane] = s0;
    scores[mine + lane + 16u] = s1;
    scores[mine + lane + 32u] = s2;
    scores[mine + lane + 48u] = s3;
    workgroupBarrier();

    // The largest score of each row so far; what was summed up to now shrinks with it.
    let count = min(64u, p.n - first);
    let before = largest;
    for (var j = 0u; j < count; j++) {
      largest = max(largest, scores[mine + j]);
    }
    let shrink = exponential(before - largest);
    a0 *= shrink.x;
    a1 *= shrink.y;
    a2 *= shrink.z;
    a3 *= shrink.w;
    total *= shrink;
    weights[mine + lane] = share * exponential(s0 - largest);
    weights[mine + lane + 16u] = share * exponential(s1 - largest);
    weights[mine + lane + 32u] = share * exponential(s2 - largest);
    weights[mine + lane + 48u] = share * exponential(s3 - largest);
    workgroupBarrier();

    for (var j = 0u; j < count; j++) {
      let weight = weights[mine + j];
      let value = vAt(frame, first + j, head, column);
      total += weight;
      a0 += weight.x * value;
      a1 += weight.y * value;
      a2 += weight.z * value;
      a3 += weight.w * value;
    }
  }
  store(frame, row, head, column, a0 / total.x);
  store(frame, row + 1u, head, column, a1 / total.y);
  store(frame, row + 2u, head, column, a2 / total.z);
  store(frame, row + 3u, head, column, a3 / total.w);
}

/** Columns c..c+3 of a head's row of q, zero beyond its last; rows beyond the last repeat it. */
fn qAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  let at = p.qOffset + (frame * p.nq + min(row, p.nq - 1u)) * p.qStride + head * p.r + c;
  if (ALIGNED) {
    return q[at >> 2u];
  }
  return select(vec4f(), vec4f(q[at >> 2u][at & 3u], q[(at + 1u) >> 2u][(at + 1u) & 3u], q[(at + 2u) >> 2u][(at + 2u) & 3u],
    q[(at + 3u) >> 2u][(at + 3u) & 3u]), c + vec4u(0u, 1u, 2u, 3u) < vec4u(p.r));
}

/** The same of k. */
fn kAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  let at = p.kOffset + (frame * p.n + min(row, p.n - 1u)) * p.kStride + head * p.r + c;
  if (ALIGNED) {
    return k[at >> 2u];
  }
  return select(vec4f(), vec4f(k[at >> 2u][at & 3u], k[(at + 1u) >> 2u][(at + 1u) & 3u], k[(at + 2u) >> 2u][(at + 2u) & 3u],
    k[(at + 3u) >> 2u][(at + 3u) & 3u]), c + vec4u(0u, 1u, 2u, 3u) < vec4u(p.r));
}

/** The same of v. */
fn vAt(frame: u32, row: u32, head: u32, c: u32) -> vec4f {
  if (c >= p.r) {
    return vec4f();
  }
  let at = p.vOffset + (frame * p.n + row) * p.vStride + head * p.r + c;
  if (ALIGNED) {
    return v[at >> 2u];
  }
  return select(vec4f(), vec4f(v[at >> 2u][at & 3u], v[(at + 1u) >> 2u][(at + 1u) & 3u], v[(at + 2u) >> 2u][(at + 2u) & 3u],
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
