// Rows of out as integers −127..127: round(v · r) with r = 127 / max |v| of a row.
//
// Shapes: a row of out has ⌈d/4⌉ numbers, each with four integers in its bytes, zero where there is
// no column; then zeros up to a multiple of 4, then 4 numbers, the first of which is 1 / r as a
// float.
//
// Calls lib/words.wgsl, which says why the integers are exact. Binding 1 is `out`, array<u32>; `p`
// has its view.

/** Rounds four values to integers and stores them as one number. */
fn store(row: u32, quad: u32, v: vec4f) {
  if (quad < p.outStride - 4u) {
    out[p.outOffset + row * p.outStride + quad] = wordOf(v);
  }
}

/** Stores the scale of a row behind its integers. */
fn storeScale(row: u32, largest: f32) {
  out[p.outOffset + (row + 1u) * p.outStride - 4u] = bitcast<u32>(largest / 127.0);
}
