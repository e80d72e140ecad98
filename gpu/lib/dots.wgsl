// Products of packed 8-bit integers, four in a number. The sums are exact.

/** Byte i mod 4 of four numbers, with its sign. */
fn byteOf(numbers: vec4i, i: u32) -> vec4i {
  return (numbers << vec4u(24u - 8u * (i % 4u))) >> vec4u(24u);
}

/** The dot products of x with four columns. */
fn products(x: i32, w: vec4i) -> vec4i {
  let high = vec4u(24u);
  return ((x << 24u) >> 24u) * ((w << high) >> high)
    + ((x << 16u) >> 24u) * ((w << vec4u(16u)) >> high)
    + ((x << 8u) >> 24u) * ((w << vec4u(8u)) >> high)
    + (x >> 24u) * (w >> high);
}
