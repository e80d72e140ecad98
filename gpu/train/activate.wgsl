// The activation of linear and its product, as an operation of their own:
//
//     out[i, j] = f(z[i, j]) · multiply[i, j]
//
// f acts on columns 0 to activated − 1. multiply is optional.
//
// Shapes: z, multiply and out [rows, n].
//
// Work: one invocation for each element.

// With lib/exponential.wgsl, lib/activations.wgsl, lib/frames.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/linear.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> multiply: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let row = index / p.n;
  let column = index % p.n;
  var v = z[p.zOffset + rowOffset(row, p.frameRows, p.zFrame, p.zStride) + column];
  if (column < p.activated) {
    if (p.activation == 1u) {
      v = gelu(vec4f(v)).x;
    } else {
      v = tanh4(vec4f(v)).x;
    }
  }
  if (p.multiplied == 1u) {
    v *= multiply[p.multiplyOffset
      + rowOffset(row, p.frameRows, p.multiplyFrame, p.multiplyStride) + column];
  }
  out[p.outOffset + row * p.outStride + column] = v;
}
