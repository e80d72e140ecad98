// The sum of all rows of x:
//
//     out[0, j] = Σ_i x[i, j]
//
// Shapes: x [rows, d]; out [1, d].
//
// Precision: rows are summed in blocks of 64, then the sums of the blocks.
//
// Work: an invocation for each column.

// With lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/sums.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

/** Rows of a block. */
const BLOCK = 64u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let column = id.y * groups.x * 64u + id.x;
  if (column >= p.count) {
    return;
  }
  var total = 0.0;
  for (var first = 0u; first < p.rows; first += BLOCK) {
    var sum = 0.0;
    for (var row = first; row < min(first + BLOCK, p.rows); row++) {
      sum += x[p.xOffset + rowOffset(row, p.frameRows, p.xFrame, p.xStride) + column];
    }
    total += sum;
  }
  out[p.outOffset + column] = total;
}
