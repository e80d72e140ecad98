// e^x of four values, in plain arithmetic: WGSL's exp() may have an error of 3 + 2·|x| units in the
// last place.

/**
 * e^x, clamped so that the result is a normal number: with x = n·ln 2 + r, 2^n times the polynomial
 * of Cephes for e^r. A NaN stays a NaN.
 */
fn exponential(x: vec4f) -> vec4f {
  let below = select(x, vec4f(88.0), x > vec4f(88.0));
  let clamped = select(below, vec4f(-87.0), below < vec4f(-87.0));
  let n = round(clamped * 1.44269504088896341);
  let r = (clamped - n * 0.693359375) + n * 2.12194440e-4;
  let polynomial = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r
    + 4.1665795894e-2) * r + 1.6666665459e-1) * r + 5.0000001201e-1;
  return (polynomial * r * r + r + 1.0) * bitcast<vec4f>((vec4i(n) + 127) << vec4u(23u));
}
