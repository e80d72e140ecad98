// Rows of out as integers −127..127: round(v · r) with r = 127 / max |v| of a row.
//
// Shapes: a row of out has ⌈d/4⌉ numbers, each with four integers in its bytes, zero where there is
// no column; then zeros up to a multiple of 4, then 4 numbers, the first of which is 1 / r as a
// float.
//
// Exactness: the integers are those of assembly/lib/quantize.ts, bit for bit, for the same v. A
// maximum, a product and the rounding of halves to even are exact or correctly rounded in WGSL, but
// a quotient may be 2.5 units off, which would change the integers next to a half. So r is computed
// with integers (inverseOf). Two exceptions: in rows whose maximum is below 3e-36, a GPU may take
// subnormal values as 0; with NaN or infinity, the row has any values.
//
// Calls: binding 1 is `out`, array<u32>; `p` has its view.

/** Rounds four values to integers and stores them as one number. */
fn store(row: u32, quad: u32, v: vec4f) {
  if (quad < p.outStride - 4u) {
    let bytes = vec4u(vec4i(round(v))) & vec4u(255u);
    out[p.outOffset + row * p.outStride + quad] =
      bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  }
}

/** Stores the scale of a row behind its integers. */
fn storeScale(row: u32, largest: f32) {
  out[p.outOffset + (row + 1u) * p.outStride - 4u] = bitcast<u32>(largest / 127.0);
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
