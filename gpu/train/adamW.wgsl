// A step of AdamW, in place. With rates = [lr, b1, b2, c1, c2, eps, decay, clip] and
// g = gradient · clip / norm if clip > 0 and norm ≥ clip, else g = gradient:
//
//     m = b1·m + (1 − b1)·g
//     v = b2·v + (1 − b2)·g²
//     value = value − lr·(c1·m / (√(c2·v) + eps) + decay·value)
//     out = norm
//
// Shapes: gradient [blocks·k, n]; rates [8]; norm and out [1]; value, m and v [blocks·k, n], each
// row padded to a multiple of 4 columns.
//
// `norm` is read as bits: WGSL allows a GPU to assume that no number is NaN or infinite.
//
// Work: one invocation for each element.

// With lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/weights.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read> norm: array<u32>;
@group(0) @binding(5) var<storage, read_write> value: array<f32>;
@group(0) @binding(6) var<storage, read_write> m: array<f32>;
@group(0) @binding(7) var<storage, read_write> v: array<f32>;

/** The exponent of NaN and of infinities. */
const NOT_FINITE = 0x7f800000u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  let bits = norm[p.normOffset];
  if (index == 0u) {
    out[p.outOffset] = bits;
  }
  if (index >= p.elements || (bits & NOT_FINITE) == NOT_FINITE) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  let at = row * ((p.n + 3u) / 4u * 4u) + column;
  var g = gradient[p.gradientOffset
    + rowOffset(row, p.frameRows, p.gradientFrame, p.gradientStride) + column];
  let clip = rate(7u);
  if (clip > 0.0 && bitcast<f32>(bits) >= clip) {
    g *= clip / bitcast<f32>(bits);
  }
  let mean = rate(1u) * m[at] + (1.0 - rate(1u)) * g;
  let square = rate(2u) * v[at] + (1.0 - rate(2u)) * (g * g);
  m[at] = mean;
  v[at] = square;
  let up = rate(3u) * mean / (sqrt(rate(4u) * square) + rate(5u)) + rate(6u) * value[at];
  value[at] -= rate(0u) * up;
}

fn rate(index: u32) -> f32 {
  return rates[p.ratesOffset + index];
}
