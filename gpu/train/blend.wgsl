// Changes a weight in place, with rates = [keep, share]:
//
//     value = keep·value + share·x
//     out = norm
//
// Shapes: x [blocks·k, n]; rates [2]; norm and out [1]; value [blocks·k, n], each row padded to a
// multiple of 4 columns.
//
// `norm` is read as bits: WGSL allows a GPU to assume that no number is NaN or infinite. With
// keep = 0 the old value is not read.
//
// Work: one invocation for each element.

// With lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/weights.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read> norm: array<u32>;
@group(0) @binding(5) var<storage, read_write> value: array<f32>;

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
  let keep = rates[p.ratesOffset];
  var sum = rates[p.ratesOffset + 1u]
    * x[p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride) + column];
  if (keep != 0.0) {
    sum += keep * value[at];
  }
  value[at] = sum;
}
