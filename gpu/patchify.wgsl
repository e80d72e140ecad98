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

struct Params {
  /** Elements of out. */
  count: u32,
  outOffset: u32,
  outStride: u32,
  pixelsOffset: u32,
  /** Rows of out for a frame, `lead` among them. */
  tokens: u32,
  lead: u32,
  gridColumns: u32,
  /** Lines of a patch. */
  py: u32,
  /** Values of a line of a patch, px·3. */
  line: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> pixels: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let columns = p.py * p.line;
  let row = index / columns;
  let column = index % columns;
  let frame = row / p.tokens;
  let token = row % p.tokens;
  var value = 0.0;
  if (token >= p.lead) {
    let cell = token - p.lead;
    let gridRows = (p.tokens - p.lead) / p.gridColumns;
    let line = (frame * gridRows + cell / p.gridColumns) * p.py + column / p.line;
    let at = p.pixelsOffset + (line * p.gridColumns + cell % p.gridColumns) * p.line
      + column % p.line;
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
