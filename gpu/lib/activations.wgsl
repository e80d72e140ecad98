// The activations of linear, of four values.
//
// Calls lib/exponential.wgsl.

/**
 * Applies an activation (0 none, 1 gelu, 2 tanh) to four values from a column on, as far as their
 * columns are below `activated`.
 */
fn activate(v: vec4f, column: u32, activation: u32, activated: u32) -> vec4f {
  if (activation == 0u || column >= activated) {
    return v;
  }
  var values: vec4f;
  if (activation == 1u) {
    values = gelu(v);
  } else {
    values = tanh4(v);
  }
  return select(v, values, column + vec4u(0u, 1u, 2u, 3u) < vec4u(activated));
}

/**
 * gelu, tanh form: 0.5·x·(1 + tanh u) = x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³). Below −64 it
 * is zero in float32.
 */
fn gelu(x: vec4f) -> vec4f {
  let u = -1.5957691216057308 * (x + 0.044715 * x * x * x);
  return select(x, vec4f(-64.0), x < vec4f(-64.0)) / (1.0 + exponential(u));
}

/**
 * tanh x: the polynomial of Cephes near 0; elsewhere 1 − 2 / (e^2|x| + 1), with the sign of x.
 * WGSL's tanh(100) is NaN on some drivers.
 */
fn tanh4(x: vec4f) -> vec4f {
  let z = x * x;
  let polynomial = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z
    + 1.33314422036e-1) * z - 3.33332819422e-1;
  let far = 1.0 - 2.0 / (exponential(2.0 * abs(x)) + 1.0);
  return select(polynomial * z * x + x, select(far, -far, x < vec4f()), abs(x) >= vec4f(0.625));
}
