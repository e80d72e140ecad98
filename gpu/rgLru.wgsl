// Real-gated linear recurrent unit, over time, with an output gate y:
//
//     γ = sigmoid(gates[.., q, 0, :])    input gate
//     ρ = sigmoid(gates[.., q, 1, :])    recurrence gate
//     a = exp(decay ⊙ ρ)                 decay = −8·softplus(a_param)
//     s[t] = a ⊙ s[t−1] + √(1 − a²) ⊙ γ ⊙ v[t]
//     out[t] = s[t] ⊙ y[t]
//
// On the first frame after a reset, s = γ ⊙ v.
//
// Shapes: v, y and out [b, t, n, e]; gates [b, t, n, h, 2, e/h]; decay [e]. The state s [slots, n,
// e] is changed in place.
//
// Precision: with m = exp(decay·ρ) − 1, a = 1 + m and 1 − a² = −m·(2 + m). This keeps its digits
// when a is close to 1.
//
// Work: one invocation for each channel of a token of a video. It keeps s in a register over all
// frames. Neighbouring invocations use neighbouring elements. Tokens and channels are many and
// frames are few, so time is a loop and not a parallel scan.

// With lib/videos.wgsl, lib/sigmoid.wgsl.
// Binding 0 is `p`, the numbers of this operation in src/program/ops/time.ts.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read> decay: array<f32>;
@group(1) @binding(1) var<storage, read_write> s: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let channel = index % p.e;
  let token = index / p.e % p.n;
  let video = index / p.e / p.n;
  let frame = videos[video].frame;
  let at = (videos[video].slot * p.n + token) * p.e + channel;
  let width = p.e / p.heads;
  let gate = channel / width * 2u * width + channel % width;
  var state = s[at];
  for (var t = 0u; t < p.t; t++) {
    let place = video * p.t + t;
    let gateAt = p.gatesOffset + place * p.gatesFrame + token * p.gatesStride + gate;
    let vAt = p.vOffset + place * p.vFrame + token * p.vStride + channel;
    let gated = sigmoid(gates[gateAt]) * v[vAt];
    if (frame + t == 0u) {
      state = gated;
    } else {
      let m = expm1(decay[channel] * sigmoid(gates[gateAt + width]));
      state = (1.0 + m) * state + sqrt(-m * (2.0 + m)) * gated;
    }
    out[p.outOffset + (place * p.n + token) * p.outStride + channel] =
      state * y[p.yOffset + place * p.yFrame + token * p.yStride + channel];
  }
  s[at] = state;
}
