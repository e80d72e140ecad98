// out = (x − μ) / √(σ² + 1e-6) · scale + bias, μ and σ² the mean and (biased) variance of the row.
//
// x, out [rows, d]; scale, bias [d]. Two passes for μ and σ², because E[x²] − μ² loses its digits when |μ| ≫ σ. A workgroup a row: 64
// invocations sum every 64th element each, and their sums meet in lib/rows.wgsl.

struct Params {
  rows: u32,
  d: u32,
  outOffset: u32,
  outStride: u32,
  xOffset: u32,
  xStride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let base = p.xOffset + row * p.xStride;
  var sum = 0.0;
  for (var i = local; i < p.d; i += 64u) {
    sum += x[base + i];
  }
  let mean = sumOf(local, sum, 0u) / f32(p.d);

  sum = 0.0;
  for (var i = local; i < p.d; i += 64u) {
    let v = x[base + i] - mean;
    sum += v * v;
  }
  let deviation = sqrt(sumOf(local, sum, 1u) / f32(p.d) + 1e-6);
  for (var i = local; i < p.d; i += 64u) {
    out[p.outOffset + row * p.outStride + i] = (x[base + i] - mean) / deviation * scale[i] + bias[i];
  }
}
