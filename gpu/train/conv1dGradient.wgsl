// Gradients of conv1d (gpu/conv1d.wgsl), for each channel of each token:
//
//     dx[s]          = Σ_j kernel[k−1−j] ⊙ dy[s+j]        0 ≤ s + j < t, j < k
//     dkernel[k−1−j] = Σ_s x[s] ⊙ dy[s+j]                 over the tokens of a part
//
// Inputs x[s] with s < 0 are in `past`, and their gradients go to `dpast`. `dnext` is the gradient
// of the last k−1 inputs, which come from the chunk or, if it is short, from the past.
//
// Shapes: x, dy and dx [b, t, n, e]; kernel [k, e], whose last row belongs to the current frame;
// past, dpast and dnext [b, k−1, n, e], oldest first; dkernel [parts, k, e].
//
// Work: one invocation for each channel of a part of `part` tokens, over all their frames. It alone
// adds to its columns of dkernel.

// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/time.ts.
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read_write> dkernel: array<f32>;
@group(0) @binding(3) var<storage, read_write> dpast: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read> past: array<f32>;
@group(0) @binding(7) var<storage, read> dnext: array<f32>;
@group(0) @binding(8) var<storage, read> kernel: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let channel = index % p.e;
  let part = index / p.e;
  let history = p.k - 1u;
  let dkernelAt = p.dkernelOffset + part * p.dkernelStride + channel;
  for (var tap = 0u; tap < p.k; tap++) {
    dkernel[dkernelAt + tap * p.e] = 0.0;
  }
  for (var unit = part * p.part; unit < min((part + 1u) * p.part, p.sequences); unit++) {
    let video = unit / p.n;
    let token = unit % p.n;
    let dyFrom = p.dyOffset + video * p.t * p.dyFrame + token * p.dyStride + channel;
    // Place 0 is the oldest input of the past, place `history` the first of the chunk.
    for (var place = 0u; place < history + p.t; place++) {
      var value = 0.0;
      if (place >= history) {
        let row = video * p.t + place - history;
        value = x[p.xOffset + row * p.xFrame + token * p.xStride + channel];
      } else if (p.hasPast != 0u) {
        let row = video * history + place;
        value = past[p.pastOffset + row * p.pastFrame + token * p.pastStride + channel];
      }
      var gradient = 0.0;
      if (p.hasNext != 0u && place >= p.t) {
        let row = video * history + place - p.t;
        gradient = dnext[p.dnextOffset + row * p.dnextFrame + token * p.dnextStride + channel];
      }
      for (var j = 0u; j < p.k; j++) {
        if (place + j >= history && place + j < history + p.t) {
          let g = dy[dyFrom + (place + j - history) * p.dyFrame];
          gradient += kernel[(history - j) * p.kernelStride + channel] * g;
          dkernel[dkernelAt + (history - j) * p.e] += value * g;
        }
      }
      if (place >= history) {
        let row = (video * p.t + place - history) * p.n + token;
        dx[p.dxOffset + row * p.dxStride + channel] = gradient;
      } else {
        let row = (video * history + place) * p.n + token;
        dpast[p.dpastOffset + row * p.dpastStride + channel] = gradient;
      }
    }
  }
}
