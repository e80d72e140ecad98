// Numbers as integers −127..127, four in the bytes of a word: round(v · r) with r = 127 / max |v|.
//
// Exactness: the integers are those of assembly/lib/quantize.ts, bit for bit, for the same v. A
// maximum, a product and the rounding of halves to even are exact or correctly rounded in WGSL, but
// a quotient may be 2.5 units off, which would change the integers next to a half. So r is computed
// with integers (inverseOf). Two exceptions: if the maximum is below 3e-36, a GPU may take
// subnormal values as 0; with NaN or infinity, the integers are any.

/** Rounds four values to integers. */
fn wordOf(v: vec4f) -> u32 {
  let bytes = vec4u(vec4i(round(v))) & vec4u(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
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
