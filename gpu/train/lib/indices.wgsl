// Row indices, which are tensors of small integers.

/** A row index, limited to 0..n−1, so that no address lies outside the rows. */
fn indexOf(value: f32, n: u32) -> u32 {
  return u32(clamp(value, 0.0, f32(n - 1u)));
}
