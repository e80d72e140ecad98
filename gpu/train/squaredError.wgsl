// Squared error and its gradient, row by row:
//
//     loss = weight · Σ (prediction − target)²
//     dprediction = 2 · weight · (prediction − target)
//
// Shapes: prediction, target and dprediction [rows, n]; weight and loss [rows, 1].
//
// Work: a workgroup for each row. Each of its 64 invocations takes every 64th element.
// lib/rows.wgsl adds their sums.

// With lib/rows.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/losses.ts.
@group(0) @binding(1) var<storage, read_write> loss: array<f32>;
@group(0) @binding(2) var<storage, read_write> dprediction: array<f32>;
@group(0) @binding(3) var<storage, read> prediction: array<f32>;
@group(0) @binding(4) var<storage, read> expected: array<f32>;
@group(0) @binding(5) var<storage, read> weight: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let predictionAt =
    p.predictionOffset + rowOffset(row, p.frameRows, p.predictionFrame, p.predictionStride);
  let targetAt = p.targetOffset + rowOffset(row, p.frameRows, p.targetFrame, p.targetStride);
  let w = weight[p.weightOffset + rowOffset(row, p.frameRows, p.weightFrame, p.weightStride)];
  let dpredictionAt = p.dpredictionOffset + row * p.dpredictionStride;
  var sum = 0.0;
  for (var i = local; i < p.n; i += 64u) {
    let error = prediction[predictionAt + i] - expected[targetAt + i];
    sum += error * error;
    dprediction[dpredictionAt + i] = 2.0 * w * error;
  }
  sum = sumOf(local, sum, 0u);
  if (local == 0u) {
    loss[p.lossOffset + row * p.lossStride] = w * sum;
  }
}
