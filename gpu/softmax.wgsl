// Softmax of each row:
//
//     out[j] = e^(x[j] − max x) / Σ_i e^(x[i] − max x)
//
// Shapes: x and out [rows, d].
//
// Work: a workgroup for each row. Each of its 64 invocations takes every 64th element.
// lib/rows.wgsl combines their results. Exponentials are computed twice instead of being stored.

// With lib/rows.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/norms.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let base = p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride);
  var largest = -3.4028234e38;
  for (var i = local; i < p.d; i += 64u) {
    largest = max(largest, x[base + i]);
  }
  largest = largestOf(local, largest, 0u);

  var sum = 0.0;
  for (var i = local; i < p.d; i += 64u) {
    sum += exponential(x[base + i] - largest);
  }
  sum = sumOf(local, sum, 1u);
  for (var i = local; i < p.d; i += 64u) {
    out[p.outOffset + row * p.outStride + i] = exponential(x[base + i] - largest) / sum;
  }
}

/**
 * e^x for x ≤ 0, clamped so that the result is a normal number: with x = n·ln 2 + r, 2^n times the
 * polynomial of Cephes for e^r. WGSL's exp() may have an error of 3 + 2·|x| units in the last
 * place. A NaN stays a NaN.
 */
fn exponential(x: f32) -> f32 {
  let clamped = select(x, -87.0, x < -87.0);
  let n = round(clamped * 1.44269504088896341);
  let r = (clamped - n * 0.693359375) + n * 2.12194440e-4;
  let polynomial = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r
    + 4.1665795894e-2) * r + 1.6666665459e-1) * r + 5.0000001201e-1;
  return (polynomial * r * r + r + 1.0) * bitcast<f32>((i32(n) + 127) << 23u);
}
