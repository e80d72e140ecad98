// Stores of a row that lib/quads.wgsl loads. This is a template: scripts/shaders.ts gives its
// arguments.
//
//     $sizes     the uniform with d, and the view of out
//     $out       the buffer of out [rows, d]: array<f32>
//     $epilogue  the function (quad: u32, v: vec4f) -> vec4f, applied to four columns of the
//                normalised row
//
// Calls lib/quads.wgsl.

/** Applies the epilogue to four columns and stores them, as far as they exist. */
fn store(row: u32, quad: u32, v: vec4f) {
  let column = 4u * quad;
  if (column >= $sizes.d) {
    return;
  }
  let value = $epilogue(quad, v);
  let at = $sizes.outOffset + row * $sizes.outStride + column;
  $out[at] = value.x;
  if (ALIGNED || column + 1u < $sizes.d) {
    $out[at + 1u] = value.y;
  }
  if (ALIGNED || column + 2u < $sizes.d) {
    $out[at + 2u] = value.z;
  }
  if (ALIGNED || column + 3u < $sizes.d) {
    $out[at + 3u] = value.w;
  }
}
