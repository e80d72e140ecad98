// Gradient of a in decay = −8·softplus(a):
//
//     out[i] = −8·σ(a[i])·ddecay[i]
//
// Shapes: ddecay and out [1, e]; a [e].
//
// Work: one invocation for each element.

// With lib/exponential.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/time.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> ddecay: array<f32>;
@group(0) @binding(3) var<storage, read> a: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.e) {
    return;
  }
  let sigma = 1.0 / (1.0 + exponential(vec4f(-a[index])).x);
  out[p.outOffset + index] = -8.0 * sigma * ddecay[p.ddecayOffset + index];
}
