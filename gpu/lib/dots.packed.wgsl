// lib/dots.wgsl for implementations with the language feature packed_4x8_integer_dot_product, which
// GPUs have instructions for. The sums are the same.

fn products(x: i32, w: vec4i) -> vec4i {
  let four = u32(x);
  let columns = vec4u(w);
  return vec4i(
    dot4I8Packed(four, columns.x),
    dot4I8Packed(four, columns.y),
    dot4I8Packed(four, columns.z),
    dot4I8Packed(four, columns.w));
}
