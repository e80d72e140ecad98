// The sum of all frames of x, token by token:
//
//     out[i, j] = Σ_f x[f, i, j]
//
// Shapes: x [frames, n, d]; out [n, d].
//
// Precision: frames are summed in blocks of 64, then the sums of the blocks.
//
// Work: an invocation for each element of out.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/sums.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

/** Frames of a block. */
const BLOCK = 64u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let token = index / p.d;
  let column = index % p.d;
  let at = p.xOffset + token * p.xStride + column;
  var total = 0.0;
  for (var first = 0u; first < p.frames; first += BLOCK) {
    var sum = 0.0;
    for (var frame = first; frame < min(first + BLOCK, p.frames); frame++) {
      sum += x[at + frame * p.xFrame];
    }
    total += sum;
  }
  out[p.outOffset + token * p.outStride + column] = total;
}
