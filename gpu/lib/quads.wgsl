// Loads of a row, four columns at a time. This is a template: scripts/shaders.ts gives its
// arguments.
//
//     $sizes     the uniform with d, frameRows, and the view of x
//     $x         the buffer of x [rows, d]: array<vec4f>
//
// Calls lib/frames.wgsl.
//
// A workgroup of 64 invocations has one row. An invocation loads the quads local, local + 64, local
// + 128 and local + 192 together, and keeps them in four named values: a loop would wait for each
// load. Columns from 1024 on are loaded again in each pass.

/** Whether x can be loaded as vec4: its rows begin at multiples of 4 elements, and so does d. */
override ALIGNED: bool = true;

/** Columns 4·quad..4·quad+3 of a row, zero beyond its end. */
fn xAt(row: u32, quad: u32) -> vec4f {
  let at = $sizes.xOffset + rowOffset(row, $sizes.frameRows, $sizes.xFrame, $sizes.xStride)
    + min(4u * quad, $sizes.d - 1u);
  if (ALIGNED) {
    return inside(quad, $x[at >> 2u]);
  }
  return inside(quad, vec4f(
    $x[at >> 2u][at & 3u],
    $x[(at + 1u) >> 2u][(at + 1u) & 3u],
    $x[(at + 2u) >> 2u][(at + 2u) & 3u],
    $x[(at + 3u) >> 2u][(at + 3u) & 3u]));
}

/** v, with zeros in the columns beyond the end of the row. */
fn inside(quad: u32, v: vec4f) -> vec4f {
  return select(vec4f(), v, 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u($sizes.d));
}
