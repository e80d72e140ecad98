// Rows as integers −127..127, for products with int8 kernels:
//
//     out[i, l] = round(x[i, l] · r[i])
//     r[i] = 127 / max_l |x[i, l]|
//
// Shapes: x [rows, d]. A row of out has ⌈d/4⌉ numbers, each with four integers in its bytes, zero
// where there is no column; then zeros up to a multiple of 4, then 4 numbers, the first of which
// is 1 / r[i] as a float.
//
// Exactness: the integers are those of assembly/lib/quantize.ts, bit for bit, for the same x. A
// maximum, a product and the rounding of halves to even are exact or correctly rounded in WGSL, but
// a quotient may be 2.5 units off, which would change the integers next to a half. So r is computed
// with integers (inverseOf). Two exceptions: in rows whose maximum is below 3e-36, a GPU may take
// subnormal values as 0; with NaN or infinity, the row has any values.
//
// Work: a workgroup for each row. lib/quads.wgsl keeps the row in registers, lib/rows.wgsl compares
// the maxima of the invocations.

// With lib/rows.wgsl, lib/frames.wgsl, lib/quads.wgsl.
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
    out[p.outOffset + row * p.outStride + quads] = bitcast<u32>(largest / 127.0);
  }
}

/** Rounds four values to integers and stores them as one number. */
fn store(row: u32, quad: u32, v: vec4f) {
  if (quad < p.outStride - 4u) {
    let bytes = vec4u(vec4i(round(v))) & vec4u(255u);
    out[p.outOffset + row * p.outStride + quad] =
      bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  }
}

/**
 * 127 / largest, correctly rounded; 0 if `largest` is so small that the quotient may be infinite.
 * With largest = m·2^e, the quotient is 127·2^17 / m or 127·2^18 / m, which is 1 to 2, times a
 * power of 2. Long division yields its first 25 bits, 8 at a time. The last one rounds: the
 * quotient is never halfway between two floats, because 127 has no divisor of 25 bits.
 */
fn inverseOf(largest: f32) -> f32 {
  if (!(largest > 1e-36)) {
    return 0.0;
  }
  let bits = bitcast<u32>(largest);
  let m = (bits & 0x7fffffu) | 0x800000u;
  var rest = 127u << 17u;
  var exponent = 260u - (bits >> 23u);
  if (rest < m) {
    rest <<= 1u;
    exponent -= 1u;
  }
  rest -= m;
  var quotient = 1u;
  for (var i = 0u; i < 3u; i++) {
    rest <<= 8u;
    quotient = (quotient << 8u) | (rest / m);
    rest %= m;
  }
  return bitcast<f32>((exponent << 23u) + ((quotient + 1u) >> 1u) - 0x800000u);
}
