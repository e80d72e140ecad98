// Splits frames into patches, one row each:
//
//     out[f, lead + p, (y·px + x)·3 + colour] = pixels[f, row(p)·py + y, column(p)·px + x, colour]
//     out[f, 0..lead−1] = 0
//
// Shapes: pixels [frames, H, W, 3], float32, or bytes with four in a word; out [frames·tokens,
// py·px·3]. Bytes are divided by 255.
//
// Work: one invocation for each element of out. Neighbouring invocations write neighbouring
// elements. A line of a patch is consecutive on both sides.
//
// Division: WGSL allows a float division an error of 2.5 units in the last place. So bytes are
// divided as integers, shifted to give a quotient of 24 bits, and rounded.

/** Whether pixels are bytes 0..255. */
override BYTES: bool = false;

// Binding 0 is `p`, the numbers of this operation in src/program/ops/tokens.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> pixels: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let width = p.px * 3u;
  let columns = p.py * width;
  let row = index / columns;
  let column = index % columns;
  let frame = row / p.tokens;
  let token = row % p.tokens;
  var value = 0.0;
  if (token >= p.lead) {
    let cell = token - p.lead;
    let line = (frame * p.gridRows + cell / p.gridColumns) * p.py + column / width;
    let at = p.pixelsOffset + (line * p.gridColumns + cell % p.gridColumns) * width
      + column % width;
    if (BYTES) {
      let byte = extractBits(pixels[at >> 2u], 8u * (at & 3u), 8u);
      let shift = countLeadingZeros(byte);
      value = f32(((byte << shift) + 127u) / 255u) * bitcast<f32>((127u - shift) << 23u);
    } else {
      value = bitcast<f32>(pixels[at]);
    }
  }
  out[p.outOffset + row * p.outStride + column] = value;
}
