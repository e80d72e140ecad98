// Normalised rows (rmsNorm or layerNorm) as integers −127..127, for products with int8 kernels:
//
//     out[i, l] = round(norm(x)[i, l] · r[i])
//     r[i] = 127 / max_l |norm(x)[i, l]|
//     norm(x)[i] = (x[i] − μ) / √(σ² + 1e-6) ⊙ scale + shift        layerNorm
//     norm(x)[i] = x[i] / √(mean(x²) + 1e-6) ⊙ (1 + scale)          rmsNorm
//
// Shapes: x [rows, d]; scale and shift [⌈d/4⌉] vec4. lib/integers.wgsl has the layout of out.
//
// Work: a workgroup for each row, as in each of the two kernels that it replaces. It has the row in
// registers (lib/quads.wgsl) from the first sum to the rounding. Longer rows than 1024 columns are
// read again. lib/rows.wgsl combines the sums and the maxima of the invocations.
//
// Cost in a layer of Base: of 197 rows of 768 numbers, the two kernels write the normalised rows
// and read them again, 1.2 MB. Here they stay in the workgroup, and one launch is saved.

/** Whether the norm is layerNorm; otherwise it is rmsNorm. */
override CENTRED: bool = true;

// With lib/rows.wgsl, lib/frames.wgsl, lib/quads.wgsl, lib/integers.wgsl, lib/words.wgsl.
// Binding 0 is `p`, the numbers of this step in src/program/ops/fused.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> scale: array<vec4f>;
@group(0) @binding(4) var<storage, read> shift: array<vec4f>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) {
    return;
  }
  let quads = p.outStride - 4u;
  let x0 = xAt(row, local);
  let x1 = xAt(row, local + 64u);
  let x2 = xAt(row, local + 128u);
  let x3 = xAt(row, local + 192u);
  var mean = 0.0;
  if (CENTRED) {
    var sums = x0 + x1 + x2 + x3;
    for (var i = local + 256u; i < quads; i += 64u) {
      sums += xAt(row, i);
    }
    mean = sumOf(local, dot(sums, vec4f(1.0)), 0u) / f32(p.d);
  }

  let v0 = inside(local, x0 - mean);
  let v1 = inside(local + 64u, x1 - mean);
  let v2 = inside(local + 128u, x2 - mean);
  let v3 = inside(local + 192u, x3 - mean);
  var squares = v0 * v0 + v1 * v1 + v2 * v2 + v3 * v3;
  for (var i = local + 256u; i < quads; i += 64u) {
    let v = inside(i, xAt(row, i) - mean);
    squares += v * v;
  }
  let deviation = sqrt(sumOf(local, dot(squares, vec4f(1.0)), 1u) / f32(p.d) + 1e-6);

  let n0 = scaled(local, v0 / deviation);
  let n1 = scaled(local + 64u, v1 / deviation);
  let n2 = scaled(local + 128u, v2 / deviation);
  let n3 = scaled(local + 192u, v3 / deviation);
  var most = max(max(abs(n0), abs(n1)), max(abs(n2), abs(n3)));
  for (var i = local + 256u; i < quads; i += 64u) {
    most = max(most, abs(scaled(i, (xAt(row, i) - mean) / deviation)));
  }
  let largest = largestOf(local, max(max(most.x, most.y), max(most.z, most.w)), 0u);
  let inverse = inverseOf(largest);
  store(row, local, n0 * inverse);
  store(row, local + 64u, n1 * inverse);
  store(row, local + 128u, n2 * inverse);
  store(row, local + 192u, n3 * inverse);
  for (var i = local + 256u; i < quads; i += 64u) {
    store(row, i, scaled(i, (xAt(row, i) - mean) / deviation) * inverse);
  }
  if (local == 0u) {
    storeScale(row, largest);
  }
}

/** Four columns of a row after the scale and the shift of the norm, zero beyond its end. */
fn scaled(quad: u32, v: vec4f) -> vec4f {
  if (4u * quad >= p.d) {
    return vec4f();
  }
  if (CENTRED) {
    return inside(quad, v * scale[quad] + shift[quad]);
  }
  return inside(quad, v * (1.0 + scale[quad]));
}
