// A row of a norm, four columns at a time: what layerNorm and rmsNorm share. The operation declares
// `p`, `x` [rows, d], `out` [rows, d] and scaled(quad, v), what becomes of these columns of the
// normalised row in the end.
//
// A workgroup of 64 has a row. An invocation fetches the columns 4·local.., 4·(local + 64).., .. of
// a row of up to 1024 all at once and keeps them in four values with names; columns beyond are
// fetched each time. One at a time, each load waited for the one before.

/**
 * Rows of x begin at multiples of 4 elements, and d is such a multiple: one load fetches 4
 * elements.
 */
override ALIGNED: bool = true;

/** Columns 4·quad..4·quad+3 of a row, zero beyond its end. */
fn xAt(row: u32, quad: u32) -> vec4f {
  let at = p.xOffset + row * p.xStride + min(4u * quad, p.d - 1u);
  if (ALIGNED) {
    return inside(quad, x[at >> 2u]);
  }
  return inside(quad, vec4f(
    x[at >> 2u][at & 3u],
    x[(at + 1u) >> 2u][(at + 1u) & 3u],
    x[(at + 2u) >> 2u][(at + 2u) & 3u],
    x[(at + 3u) >> 2u][(at + 3u) & 3u]));
}

/** The same columns of v, zero where the row has none. */
fn inside(quad: u32, v: vec4f) -> vec4f {
  return select(vec4f(), v, 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(p.d));
}

/** Scales these columns and puts them into out, those that exist. */
fn store(row: u32, quad: u32, v: vec4f) {
  let column = 4u * quad;
  if (column >= p.d) {
    return;
  }
  let value = scaled(quad, v);
  let at = p.outOffset + row * p.outStride + column;
  out[at] = value.x;
  if (ALIGNED || column + 1u < p.d) {
    out[at + 1u] = value.y;
  }
  if (ALIGNED || column + 2u < p.d) {
    out[at + 2u] = value.z;
  }
  if (ALIGNED || column + 3u < p.d) {
    out[at + 3u] = value.w;
  }
}
