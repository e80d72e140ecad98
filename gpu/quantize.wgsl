// Rows as integers −127..127, for products with int8 kernels:
//
//     out[i, l] = round(x[i, l] · r[i])
//     r[i] = 127 / max_l |x[i, l]|
//
// Shapes: x [rows, d]. lib/integers.wgsl has the layout of out, lib/words.wgsl says why r is exact.
//
// Work: a workgroup for each row. lib/quads.wgsl keeps the row in registers, lib/rows.wgsl compares
// the maxima of the invocations.

// With lib/rows.wgsl, lib/frames.wgsl, lib/quads.wgsl, lib/integers.wgsl, lib/words.wgsl.
// Binding 0 is `p`, the numbers of this step in src/program/ops/quantize.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

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
  var most = max(max(abs(x0), abs(x1)), max(abs(x2), abs(x3)));
  for (var i = local + 256u; i < quads; i += 64u) {
    most = max(most, abs(xAt(row, i)));
  }
  let largest = largestOf(local, max(max(most.x, most.y), max(most.z, most.w)), 0u);
  let inverse = inverseOf(largest);
  store(row, local, x0 * inverse);
  store(row, local + 64u, x1 * inverse);
  store(row, local + 128u, x2 * inverse);
  store(row, local + 192u, x3 * inverse);
  for (var i = local + 256u; i < quads; i += 64u) {
    store(row, i, xAt(row, i) * inverse);
  }
  if (local == 0u) {
    storeScale(row, largest);
  }
}
