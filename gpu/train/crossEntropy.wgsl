// Cross-entropy and its gradient. With targets q and their sum w, row by row:
//
//     loss = w · log Σ e^logits − Σ q · logits
//     dlogits = w · softmax(logits) − q
//
// Shapes: logits, targets and dlogits [rows, c]; loss [rows, 1].
//
// Precision: with the maximum m of the logits,
// loss = w · log Σ e^(logits − m) + Σ q · (m − logits).
//
// Work: a workgroup for each row. Each of its 64 invocations takes every 64th element.
// lib/rows.wgsl combines their results.

// With lib/rows.wgsl, lib/exponential.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/losses.ts.
@group(0) @binding(1) var<storage, read_write> loss: array<f32>;
@group(0) @binding(2) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let logitsAt = p.logitsOffset + rowOffset(row, p.frameRows, p.logitsFrame, p.logitsStride);
  let targetsAt = p.targetsOffset + rowOffset(row, p.frameRows, p.targetsFrame, p.targetsStride);
  var largest = -3.4028234e38;
  for (var i = local; i < p.c; i += 64u) {
    largest = max(largest, logits[logitsAt + i]);
  }
  largest = largestOf(local, largest, 0u);

  var sum = 0.0;
  var weight = 0.0;
  var products = 0.0;
  for (var i = local; i < p.c; i += 64u) {
    let below = logits[logitsAt + i] - largest;
    let q = targets[targetsAt + i];
    sum += exponential(vec4f(below)).x;
    weight += q;
    products += q * below;
  }
  sum = sumOf(local, sum, 1u);
  weight = sumOf(local, weight, 0u);
  products = sumOf(local, products, 1u);
  if (local == 0u) {
    loss[p.lossOffset + row * p.lossStride] = weight * logarithm(sum) - products;
  }
  for (var i = local; i < p.c; i += 64u) {
    let e = exponential(vec4f(logits[logitsAt + i] - largest)).x;
    dlogits[p.dlogitsOffset + row * p.dlogitsStride + i] =
      e * (weight / sum) - targets[targetsAt + i];
  }
}

/**
 * log x: with x = 2^n·(1 + r) and √½ ≤ 1 + r < √2, n·ln 2 and the polynomial of Cephes for
 * log(1 + r). WGSL's log() may have an error of 2^-21 near 1.
 */
fn logarithm(x: f32) -> f32 {
  let bits = bitcast<u32>(x) - 0x3f3504f3u;
  let n = f32(bitcast<i32>(bits) >> 23u);
  let r = bitcast<f32>((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0;
  let polynomial = ((((((((7.0376836292e-2 * r - 1.1514610310e-1) * r + 1.1676998740e-1) * r
    - 1.2420140846e-1) * r + 1.4249322787e-1) * r - 1.6668057665e-1) * r + 2.0000714765e-1) * r
    - 2.4999993993e-1) * r + 3.3333331174e-1) * r * r * r;
  return (polynomial - n * 2.12194440e-4 - 0.5 * r * r) + r + n * 0.693359375;
}
