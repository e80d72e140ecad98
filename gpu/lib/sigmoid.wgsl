// sigmoid and expm1 of the real-gated linear recurrent unit, in plain arithmetic.

/**
 * 1 / (1 + e^−x). The exponent is clamped, so that the result is a normal number. A NaN stays a
 * NaN.
 */
fn sigmoid(x: f32) -> f32 {
  let below = select(-x, 87.0, -x > 87.0);
  let clamped = select(below, -87.0, below < -87.0);
  let n = round(clamped * 1.44269504088896341);
  return 1.0 / (1.0 + (1.0 + expm1Reduced(clamped, n)) * powerOfTwo(n));
}

/** e^x − 1 for x ≤ 0, accurate near 0: with x = n·ln 2 + r, 2^n·(e^r − 1) + (2^n − 1). */
fn expm1(x: f32) -> f32 {
  let clamped = select(x, -87.0, x < -87.0);
  let n = round(clamped * 1.44269504088896341);
  return expm1Reduced(clamped, n) * powerOfTwo(n) + (powerOfTwo(n) - 1.0);
}

/**
 * e^r − 1 for r = x − n·ln 2 between −ln(2)/2 and ln(2)/2: the polynomial of Cephes. WGSL's exp()
 * may have an error of 3 + 2·|x| units in the last place.
 */
fn expm1Reduced(x: f32, n: f32) -> f32 {
  let r = (x - n * 0.693359375) + n * 2.12194440e-4;
  let polynomial = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r
    + 4.1665795894e-2) * r + 1.6666665459e-1) * r + 5.0000001201e-1;
  return polynomial * r * r + r;
}

fn powerOfTwo(n: f32) -> f32 {
  return bitcast<f32>((i32(n) + 127) << 23u);
}
