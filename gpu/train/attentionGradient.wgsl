// Gradients of attention (gpu/attention.wgsl), for each frame and head:
//
//     p  = softmax(q·kᵀ / √r)
//     ds = p ⊙ (dy·vᵀ − Σ_c dy ⊙ y) / √r
//     dq = ds·k
//     dk = dsᵀ·q
//     dv = pᵀ·dy
//
// Shapes: q, y, dy and dq [frames, nq, heads·r]; k, v, dk and dv [frames, n, heads·r].
//
// Work: a workgroup for each head of a frame. It takes 64 rows of q at a time: first the largest
// score and the sum of exponentials of each row, then p and ds for 16 keys at a time, in workgroup
// memory. For all rows, an invocation adds to the same elements of dk and dv, and for all keys to
// the same elements of dq. So no two invocations write to one element.

// With lib/exponential.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/attention.ts.
@group(0) @binding(1) var<storage, read_write> dq: array<f32>;
@group(0) @binding(2) var<storage, read_write> dk: array<f32>;
@group(0) @binding(3) var<storage, read_write> dv: array<f32>;
@group(0) @binding(4) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read> k: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<f32>;
@group(0) @binding(7) var<storage, read> y: array<f32>;
@group(0) @binding(8) var<storage, read> dy: array<f32>;

const LOWEST = -3.4028234e38;
/** Rows and keys of a tile. */
const ROWS = 64u;
const KEYS = 16u;

/** p and ds of a tile [ROWS, KEYS]. */
var<workgroup> weights: array<f32, 1024>;
var<workgroup> slopes: array<f32, 1024>;
/** Largest score and sum of exponentials: four of each row, each for a quarter of the keys. */
var<workgroup> largest: array<f32, 256>;
var<workgroup> totals: array<f32, 256>;
/** Σ_c dy ⊙ y of each row. */
var<workgroup> inner: array<f32, 64>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let unit = group.y * groups.x + group.x;
  if (unit >= p.frames * p.heads) {
    return;
  }
  let frame = unit / p.heads;
  let column = unit % p.heads * p.r;
  let qFrom = p.qOffset + frame * p.qFrame + column;
  let kFrom = p.kOffset + frame * p.kFrame + column;
  let vFrom = p.vOffset + frame * p.vFrame + column;
  let yFrom = p.yOffset + frame * p.yFrame + column;
  let dyFrom = p.dyOffset + frame * p.dyFrame + column;
  let scale = 1.0 / sqrt(f32(p.r));
  for (var firstRow = 0u; firstRow < p.nq; firstRow += ROWS) {
    let rows = min(ROWS, p.nq - firstRow);
    storeQuarter(local, firstRow, qFrom, kFrom, scale);
    if (local < rows) {
      var sum = 0.0;
      for (var c = 0u; c < p.r; c++) {
        sum += y[yFrom + (firstRow + local) * p.yStride + c]
          * dy[dyFrom + (firstRow + local) * p.dyStride + c];
      }
      inner[local] = sum;
    }
    workgroupBarrier();
    for (var firstKey = 0u; firstKey < p.n; firstKey += KEYS) {
      let keys = min(KEYS, p.n - firstKey);
      for (var at = local; at < ROWS * KEYS; at += 256u) {
        let i = at / KEYS;
        let key = firstKey + at % KEYS;
        weights[at] = 0.0;
        slopes[at] = 0.0;
        if (i < rows && key < p.n) {
          let row = firstRow + i;
          let quarters = vec4u(0u, 1u, 2u, 3u) + 4u * i;
          let most4 = vec4f(
            largest[quarters.x], largest[quarters.y], largest[quarters.z], largest[quarters.w]);
          let most = max(max(most4.x, most4.y), max(most4.z, most4.w));
          let total = dot(exponential(most4 - most), vec4f(
            totals[quarters.x], totals[quarters.y], totals[quarters.z], totals[quarters.w]));
          let score = scoreOf(qFrom + row * p.qStride, kFrom + key * p.kStride) * scale;
          let weight = exponential(vec4f(score - most)).x / total;
          var slope = 0.0;
          for (var c = 0u; c < p.r; c++) {
            slope += dy[dyFrom + row * p.dyStride + c] * v[vFrom + key * p.vStride + c];
          }
          weights[at] = weight;
          slopes[at] = weight * (slope - inner[i]) * scale;
        }
      }
      workgroupBarrier();
      for (var at = local; at < keys * p.r; at += 256u) {
        let j = at / p.r;
        let c = at % p.r;
        let row = frame * p.n + firstKey + j;
        let dkAt = p.dkOffset + row * p.dkStride + column + c;
        let dvAt = p.dvOffset + row * p.dvStride + column + c;
        var sumK = 0.0;
        var sumV = 0.0;
        if (firstRow > 0u) {
          sumK = dk[dkAt];
          sumV = dv[dvAt];
        }
        for (var i = 0u; i < rows; i++) {
          sumK += slopes[i * KEYS + j] * q[qFrom + (firstRow + i) * p.qStride + c];
          sumV += weights[i * KEYS + j] * dy[dyFrom + (firstRow + i) * p.dyStride + c];
        }
        dk[dkAt] = sumK;
        dv[dvAt] = sumV;
      }
      for (var at = local; at < rows * p.r; at += 256u) {
        let i = at / p.r;
        let c = at % p.r;
        let dqAt = p.dqOffset + (frame * p.nq + firstRow + i) * p.dqStride + column + c;
        var sum = 0.0;
        if (firstKey > 0u) {
          sum = dq[dqAt];
        }
        for (var j = 0u; j < keys; j++) {
          sum += slopes[i * KEYS + j] * k[kFrom + (firstKey + j) * p.kStride + c];
        }
        dq[dqAt] = sum;
      }
      workgroupBarrier();
    }
  }
}

/** Stores the largest score and the sum of exponentials of a row, over every fourth key. */
fn storeQuarter(local: u32, firstRow: u32, qFrom: u32, kFrom: u32, scale: f32) {
  let row = firstRow + local / 4u;
  var most = LOWEST;
  var total = 0.0;
  if (row < p.nq) {
    for (var key = local % 4u; key < p.n; key += 4u) {
      let score = scoreOf(qFrom + row * p.qStride, kFrom + key * p.kStride) * scale;
      let next = max(most, score);
      let both = exponential(vec4f(most - next, score - next, 0.0, 0.0));
      total = total * both.x + both.y;
      most = next;
    }
  }
  largest[local] = most;
  totals[local] = total;
}

/** q·k of a row and a key. */
fn scoreOf(qAt: u32, kAt: u32) -> f32 {
  var sum = 0.0;
  for (var c = 0u; c < p.r; c++) {
    sum += q[qAt + c] * k[kAt + c];
  }
  return sum;
}
