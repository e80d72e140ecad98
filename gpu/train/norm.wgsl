// The norm of all elements of x, and of another norm:
//
//     out = √(add² + Σ x²)
//
// Shapes: x [rows, d]; add and out [1, 1]. add is optional.
//
// Work: one workgroup. An invocation has every 64th element, and adds their squares in blocks.

// With lib/squares.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/sums.ts.
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read> add: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) local: u32) {
  let elements = p.rows * p.d;
  let other = otherBits(local);
  var largest = magnitude(other);
  for (var i = local; i < elements; i += 64u) {
    largest = max(largest, magnitude(bitsAt(i)));
  }
  largest = largestMagnitude(local, largest);
  let scale = scaleOf(largest);
  var sum = square(other, scale);
  for (var first = local; first < elements; first += 64u * BLOCK) {
    var block = 0.0;
    for (var i = first; i < min(first + 64u * BLOCK, elements); i += 64u) {
      block += square(bitsAt(i), scale);
    }
    sum += block;
  }
  let bits = normBits(local, sum, largest);
  if (local == 0u) {
    out[p.outOffset] = bits;
  }
}

/** The first invocation also has `add`. */
fn otherBits(local: u32) -> u32 {
  if (p.added == 1u && local == 0u) {
    return add[p.addOffset];
  }
  return 0u;
}

fn bitsAt(index: u32) -> u32 {
  let row = index / p.d;
  return x[p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride) + index % p.d];
}

fn square(bits: u32, scale: f32) -> f32 {
  let v = bitcast<f32>(bits) * scale;
  return v * v;
}
