// Gradients of rgLru (gpu/rgLru.wgsl). With γ = sigmoid(p), ρ = sigmoid(q), λ = decay ⊙ ρ,
// a = exp(λ) and ω = 1 − a², from the last frame to the first:
//
//     δ[t]  = dout[t] ⊙ y[t] + a[t+1] ⊙ δ[t+1]        after the last frame: carried ds
//     dy[t] = dout[t] ⊙ s[t]
//     dv[t] = δ ⊙ √ω ⊙ γ
//     dp[t] = δ ⊙ √ω ⊙ v ⊙ γ ⊙ (1 − γ)
//     dλ[t] = δ ⊙ (s[t−1] ⊙ a − γ ⊙ v ⊙ a² / √max(ω, ω₀)),   ω₀ = 1/(4·1000²)
//     dq[t] = dλ ⊙ decay ⊙ ρ ⊙ (1 − ρ)
//     ddecay = Σ_t dλ ⊙ ρ
//     ds     = a[0] ⊙ δ[0]
//
// ω₀ bounds the derivative of √ω by 1000, as in the official code. On the first frame of a clip
// s = γ ⊙ v, so dv = δ ⊙ γ, dp = δ ⊙ v ⊙ γ ⊙ (1 − γ), and dq, ds and dλ are 0.
//
// Shapes: v, y and dout [b, t, n, e]; gates [b, t, n, h, 2, e/h]; decay [e]; carried [b, n, 2·e],
// the state before the chunk, then the gradient of the state after it. dinputs [b, t, n, 4·e] has
// the columns dgates, dv, dy; dcarried [b, n, 2·e] has ds, ddecay.
//
// Work: one invocation for each channel of a token of a video. The first pass computes the states
// again and keeps them in the columns of dv. The second reads s[t] and s[t−1] there before it
// writes dv[t].

// Binding 0 is `p`, the numbers of this operation in src/program/ops/train/time.ts.
@group(0) @binding(1) var<storage, read_write> dinputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> dcarried: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> y: array<f32>;
@group(0) @binding(6) var<storage, read> dout: array<f32>;
@group(0) @binding(7) var<storage, read> carried: array<f32>;
@group(0) @binding(8) var<storage, read> decay: array<f32>;

/** ω₀. */
const LEAST = 2.5e-7;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.y * groups.x * 64u + id.x;
  if (index >= p.count) {
    return;
  }
  let channel = index % p.e;
  let unit = index / p.e;
  let token = unit % p.n;
  let firstPlace = unit / p.n * p.t;
  let width = p.e / p.heads;
  let gate = channel / width * 2u * width + channel % width;
  let rate = decay[channel];
  var before = 0.0;
  var ds = 0.0;
  if (p.carries != 0u) {
    let carriedAt = p.carriedOffset + unit * p.carriedStride + channel;
    before = carried[carriedAt];
    ds = carried[carriedAt + p.e];
  }

  let gatesFrom = p.gatesOffset + token * p.gatesStride + gate;
  let vFrom = p.vOffset + token * p.vStride + channel;
  let outFrom = p.dinputsOffset + token * p.dinputsStride;
  let outFrame = p.n * p.dinputsStride;
  let stateColumn = 2u * p.e + channel;
  var s = before;
  for (var t = 0u; t < p.t; t++) {
    let place = firstPlace + t;
    let gateAt = gatesFrom + place * p.gatesFrame;
    let gated = sigmoid(gates[gateAt]).x * v[vFrom + place * p.vFrame];
    if (p.first != 0u && t == 0u) {
      s = gated;
    } else {
      let m = expm1(rate * sigmoid(gates[gateAt + width]).x);
      s = (1.0 + m) * s + sqrt(-m * (2.0 + m)) * gated;
    }
    dinputs[outFrom + place * outFrame + stateColumn] = s;
  }

  var ddecay = 0.0;
  for (var last = p.t; last > 0u; last--) {
    let t = last - 1u;
    let place = firstPlace + t;
    let gateAt = gatesFrom + place * p.gatesFrame;
    let outAt = outFrom + place * outFrame;
    let gamma = sigmoid(gates[gateAt]);
    let value = v[vFrom + place * p.vFrame];
    let gradient = dout[p.doutOffset + place * p.doutFrame + token * p.doutStride + channel];
    let delta =
      gradient * y[p.yOffset + place * p.yFrame + token * p.yStride + channel] + ds;
    dinputs[outAt + stateColumn + p.e] = gradient * dinputs[outAt + stateColumn];
    if (p.first != 0u && t == 0u) {
      dinputs[outAt + stateColumn] = delta * gamma.x;
      dinputs[outAt + gate] = delta * value * gamma.y;
      dinputs[outAt + gate + width] = 0.0;
      ds = 0.0;
    } else {
      var previous = before;
      if (t > 0u) {
        previous = dinputs[outAt - outFrame + stateColumn];
      }
      let rho = sigmoid(gates[gateAt + width]);
      let a = exponential(rate * rho.x);
      let m = expm1(rate * rho.x);
      let omega = -m * (2.0 + m);
      let through = delta * sqrt(omega);
      dinputs[outAt + stateColumn] = through * gamma.x;
      dinputs[outAt + gate] = through * value * gamma.y;
      let dlambda =
        delta * (previous * a - gamma.x * value * (a * a) / sqrt(max(omega, LEAST)));
      dinputs[outAt + gate + width] = dlambda * rate * rho.y;
      ddecay += dlambda * rho.x;
      ds = a * delta;
    }
  }
  let dcarriedAt = p.dcarriedOffset + unit * p.dcarriedStride + channel;
  dcarried[dcarriedAt] = ds;
  dcarried[dcarriedAt + p.e] = ddecay;
}

/** 1 / (1 + e^−x) and its derivative. */
fn sigmoid(x: f32) -> vec2f {
  let z = exponential(-abs(x));
  let large = 1.0 / (1.0 + z);
  let small = z * large;
  return vec2f(select(large, small, x < 0.0), small * large);
}

/** e^x for x ≤ 0. x is clamped, so that the result is a normal number. A NaN stays a NaN. */
fn exponential(x: f32) -> f32 {
  let clamped = select(x, -87.0, x < -87.0);
  let n = round(clamped * 1.44269504088896341);
  return (1.0 + expm1Reduced(clamped, n)) * powerOfTwo(n);
}

/** e^x − 1 for x ≤ 0, accurate near 0: with x = n·ln 2 + r, 2^n·(e^r − 1) + (2^n − 1). */
fn expm1(x: f32) -> f32 {
  let clamped = select(x, -87.0, x < -87.0);
  let n = round(clamped * 1.44269504088896341);
  return expm1Reduced(clamped, n) * powerOfTwo(n) + (powerOfTwo(n) - 1.0);
}

/** e^r − 1 for r = x − n·ln 2 between −ln(2)/2 and ln(2)/2: the polynomial of Cephes. */
fn expm1Reduced(x: f32, n: f32) -> f32 {
  let r = (x - n * 0.693359375) + n * 2.12194440e-4;
  let polynomial = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r
    + 4.1665795894e-2) * r + 1.6666665459e-1) * r + 5.0000001201e-1;
  return polynomial * r * r + r;
}

fn powerOfTwo(n: f32) -> f32 {
  return bitcast<f32>((i32(n) + 127) << 23u);
}
