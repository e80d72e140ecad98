/**
 * Σ x[i]² over a row of `bytes`, in float64. Squares of float32 numbers are exact there and cannot
 * overflow.
 */
export function squares(x: usize, bytes: usize): f64 {
  // Four independent sums, because each addition waits for the result of the one before.
  let s0 = f64x2.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0
  let i: usize = 0
  for (const pairs = bytes & ~31; i < pairs; i += 32) {
    const v0 = loadPair(x + i),
      v1 = loadPair(x + i + 8)
    const v2 = loadPair(x + i + 16),
      v3 = loadPair(x + i + 24)
    ;((s0 = f64x2.add(s0, f64x2.mul(v0, v0))), (s1 = f64x2.add(s1, f64x2.mul(v1, v1))))
    ;((s2 = f64x2.add(s2, f64x2.mul(v2, v2))), (s3 = f64x2.add(s3, f64x2.mul(v3, v3))))
  }
  const all = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3))
  let sum = f64x2.extract_lane(all, 0) + f64x2.extract_lane(all, 1)
  for (; i < bytes; i += 4) {
    const v = <f64>load<f32>(x + i)
    sum += v * v
  }
  return sum
}

/** √sum, computed as a vector (`root` in assembly/lib/math.ts says why). */
export function norm32(sum: f64): f32 {
  return <f32>f64x2.extract_lane(f64x2.sqrt(f64x2.splat(sum)), 0)
}

// @ts-ignore: decorator
@inline
function loadPair(x: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(x))
}
