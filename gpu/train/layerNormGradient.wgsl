// Gradients of layerNorm (gpu/layerNorm.wgsl). With x̂ = (x − μ) / s, s = √(σ² + 1e-6), and
// q = dy · scale, row by row:
//
//     dx = (q − mean(q) − x̂ · mean(q · x̂)) / s
//     dscale[i] = Σ dy · x̂                        over the rows of part i
//
// μ is the mean of the row, σ² its (biased) variance.
//
// Shapes: x, dy and dx [rows, d]; scale [d]; dscale [parts, d].
//
// Work: a workgroup for each part of `part` rows. An invocation has the columns local, local + 64,
// .. of all rows, so it alone adds to its columns of dscale. lib/rows.wgsl adds the sums of the
// invocations.

// With lib/rows.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/norms.ts.
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read_write> dscale: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read> scale: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let unit = group.y * groups.x + group.x;
  if (unit >= p.parts) {
    return;
  }
  let d = f32(p.d);
  let dscaleAt = p.dscaleOffset + unit * p.dscaleStride;
  for (var i = local; i < p.d; i += 64u) {
    dscale[dscaleAt + i] = 0.0;
  }
  for (var row = unit * p.part; row < min((unit + 1u) * p.part, p.rows); row++) {
    let xAt = p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride);
    let dyAt = p.dyOffset + rowOffset(row, p.frameRows, p.dyFrame, p.dyStride);
    let dxAt = p.dxOffset + row * p.dxStride;
    var sum = 0.0;
    for (var i = local; i < p.d; i += 64u) {
      sum += x[xAt + i];
    }
    let mean = sumOf(local, sum, 0u) / d;
    var squares = 0.0;
    for (var i = local; i < p.d; i += 64u) {
      squares += (x[xAt + i] - mean) * (x[xAt + i] - mean);
    }
    let deviation = sqrt(sumOf(local, squares, 1u) / d + 1e-6);
    sum = 0.0;
    var products = 0.0;
    for (var i = local; i < p.d; i += 64u) {
      let q = dy[dyAt + i] * scale[i];
      sum += q;
      products += q * (x[xAt + i] - mean);
    }
    let average = sumOf(local, sum, 0u) / d;
    let product = sumOf(local, products, 1u) / deviation / d;
    for (var i = local; i < p.d; i += 64u) {
      let normalised = (x[xAt + i] - mean) / deviation;
      let y = dy[dyAt + i];
      dx[dxAt + i] = (y * scale[i] - average - normalised * product) / deviation;
      dscale[dscaleAt + i] += y * normalised;
    }
  }
}
