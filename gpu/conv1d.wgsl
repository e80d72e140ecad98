// Causal convolution over time, for each channel of each token:
//
//     out[t] = bias + Σ_{j=0..k−1} kernel[k−1−j] ⊙ x[t−j]
//
// Inputs before the chunk come from `past`.
//
// Shapes: x and out [b, t, n, e]; kernel [k, e], whose last row belongs to the current frame; bias
// [e]. past [slots, k−1, n, e], oldest first; afterwards it has the last k−1 inputs.
//
// Work: one invocation for each channel of a token of a video, over all frames. Neighbouring
// invocations use neighbouring elements. No other invocation uses its part of the state, so the
// state is changed in place.

// With lib/videos.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/time.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> kernel: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(1) @binding(1) var<storage, read_write> past: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let channel = index % p.e;
  let token = index / p.e % p.n;
  let video = index / p.e / p.n;
  let history = p.k - 1u;
  let pastFrom = (videos[video].slot * history * p.n + token) * p.e + channel;
  let pastStride = p.n * p.e;
  let row = video * p.t * p.n + token;
  let xFrom = p.xOffset + video * p.t * p.xFrame + token * p.xStride + channel;
  for (var t = 0u; t < p.t; t++) {
    var sum = bias[channel];
    for (var j = 0u; j < p.k; j++) {
      var value: f32;
      if (j <= t) {
        value = x[xFrom + (t - j) * p.xFrame];
      } else {
        value = past[pastFrom + (history + t - j) * pastStride];
      }
      sum += kernel[(history - j) * p.kernelStride + channel] * value;
    }
    out[p.outOffset + (row + t * p.n) * p.outStride + channel] = sum;
  }
  // The newest k−1 inputs become the past. A chunk with fewer inputs moves the older ones up.
  for (var slot = 0u; slot < history; slot++) {
    let source = p.t + slot;
    if (source < history) {
      past[pastFrom + slot * pastStride] = past[pastFrom + source * pastStride];
    } else {
      past[pastFrom + slot * pastStride] = x[xFrom + (source - history) * p.xFrame];
    }
  }
}
