// The activations of linear and their slopes. `at` is z for gelu, and tanh z for tanh.
//
// Calls lib/exponential.wgsl.

/** σ = 1 / (1 + e) and 1 − σ = e·σ of gelu(z) = z·σ; e = e^−2u, u = √(2/π)·(z + 0.044715·z³). */
fn sigmas(z: f32) -> vec2f {
  let e = exponential(vec4f(z * (-1.595769122 - 0.0713548163 * z * z))).x;
  let sigma = 1.0 / (1.0 + e);
  return vec2f(sigma, e * sigma);
}

/** f'(z). Beyond ±10 that of gelu is 0 or 1 in float32. */
fn slope(activation: u32, at: f32) -> f32 {
  if (activation == 2u) {
    return (1.0 - at) * (1.0 + at);
  }
  if (activation == 0u) {
    return 1.0;
  }
  let z = select(select(at, -10.0, at < -10.0), 10.0, at > 10.0);
  let s = sigmas(z);
  return s.x * (1.0 + s.y * (z * (1.595769122 + 0.2140644488 * z * z)));
}

/** f(z). */
fn activated(activation: u32, at: f32) -> f32 {
  if (activation == 1u) {
    return select(at, -64.0, at < -64.0) * sigmas(at).x;
  }
  return at;
}
