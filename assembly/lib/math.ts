/**
 * Elementary functions of four lanes at once. The polynomials are those of expf, exp2f and tanhf in
 * Cephes (S. Moshier).
 *
 * Exactness: the functions use only additions, multiplications, divisions, square roots and bit
 * operations, so their results are bit-identical on every runtime. In the relaxed builds a runtime
 * may fuse a multiplication with an addition.
 *
 * Constants are loaded from memory: V8 of Node ≥ 24 rebuilds a v128.const at each use, which makes
 * a hot loop four times slower.
 */
const table = memory.data<f32>([
  1.44269504088896341, // 0 log2(e)
  0.693359375, //         1 ln 2, upper part: products with small integers are exact
  -2.1219444e-4, //      2 ln 2, rest
  1.98756915e-4, //     3..8 (e^r − 1 − r) / r²
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1,
  -87.3365447505531, //   9 below: e^x is no longer a normal number
  88.3762626647949, //   10 above: 2^128 would be needed
  1.0, //                11
  -5.70498872745e-3, //  12..16 (tanh x − x) / x³
  2.06390887954e-2,
  -5.37397155531e-2,
  1.33314422036e-1,
  -3.33332819422e-1,
  0.625, //              17 where tanh changes from the polynomial to the exponential
  2.0, //                18
  -2.3022081984, //      19 −2·√(2/π)·log2(e)
  -0.1029432396, //      20 the same, times 0.044715
  -64.0, //              21 below: gelu(x) is zero in float32
  -0.0, //               22 the sign bit
  12582912.0, //         23 1.5·2^23: x plus this has the integer nearest to x in its low bits
  1.5353361883195e-4, // 24..29 (2^r − 1) / r
  1.339887440266574e-3,
  9.61843735767464e-3,
  5.550332471162809e-2,
  2.402264791363012e-1,
  6.931472028550421e-1,
  -126.0, //             30 below: 2^x is no longer a normal number
  127.0, //              31 above: 2^128 would soon be needed
])

// @ts-ignore: decorator
@inline
function c(index: i32): v128 {
  return v128.load_splat<f32>(table + (index << 2))
}

/** x·y + z, rounded once on a runtime that fuses the two operations. */
// @ts-ignore: decorator
@inline
export function madd(x: v128, y: v128, z: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(x, y, z) : f32x4.add(f32x4.mul(x, y), z)
}

/** z − x·y, rounded once on a runtime that fuses the two operations. */
// @ts-ignore: decorator
@inline
function nmadd(x: v128, y: v128, z: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_nmadd(x, y, z) : f32x4.sub(z, f32x4.mul(x, y))
}

/** r²·P(r) + r = e^r − 1 for |r| ≤ ln(2)/2. */
// @ts-ignore: decorator
@inline
function expm1Reduced(r: v128): v128 {
  let p = madd(c(3), r, c(4))
  p = madd(p, r, c(5))
  p = madd(p, r, c(6))
  p = madd(p, r, c(7))
  p = madd(p, r, c(8))
  return madd(p, f32x4.mul(r, r), r)
}

/** x − n·ln 2 for an integer n. */
// @ts-ignore: decorator
@inline
function reduce(x: v128, n: v128): v128 {
  return nmadd(n, c(2), nmadd(n, c(1), x))
}

/** 2^n for an integer n in −126..127, given as n plus constant 23. */
// @ts-ignore: decorator
@inline
function powerOfTwo(shifted: v128): v128 {
  return i32x4.add(i32x4.shl(shifted, 23), c(11))
}

// pmin and pmax are one instruction each; min and max are several. With x first they keep a NaN.

/** e^x, clamped to the range of normal numbers. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, c(9)), c(10))
  const shifted = madd(x, c(0), c(23))
  const n = f32x4.sub(shifted, c(23))
  return f32x4.mul(f32x4.add(expm1Reduced(reduce(x, n)), c(11)), powerOfTwo(shifted))
}

/**
 * 2^x, clamped to the range of normal numbers. It takes fewer operations than e^x, because x minus
 * its integer part is exact. Do not use it for e^x: x·log2(e) has an error of up to |x| units in
 * the last place.
 */
// @ts-ignore: decorator
@inline
function exp2(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, c(30)), c(31))
  const shifted = f32x4.add(x, c(23))
  const r = f32x4.sub(x, f32x4.sub(shifted, c(23)))
  let p = madd(c(24), r, c(25))
  p = madd(p, r, c(26))
  p = madd(p, r, c(27))
  p = madd(p, r, c(28))
  p = madd(p, r, c(29))
  return f32x4.mul(madd(p, r, c(11)), powerOfTwo(shifted))
}

/** e^x − 1 for x ≤ 0, accurate near 0: 2^n·(e^r − 1) + (2^n − 1). */
// @ts-ignore: decorator
@inline
export function expm1(x: v128): v128 {
  x = f32x4.pmax(x, c(9))
  const shifted = madd(x, c(0), c(23))
  const scale = powerOfTwo(shifted)
  return madd(expm1Reduced(reduce(x, f32x4.sub(shifted, c(23)))), scale, f32x4.sub(scale, c(11)))
}

/** 1 / (1 + e^−x). */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(c(11), f32x4.add(c(11), exp(f32x4.neg(x))))
}

/** tanh x: a polynomial near 0; elsewhere 1 − 2 / (e^2|x| + 1), with the sign of x. */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const z = f32x4.mul(x, x)
  let p = madd(c(12), z, c(13))
  p = madd(p, z, c(14))
  p = madd(p, z, c(15))
  p = madd(p, z, c(16))
  const near = madd(f32x4.mul(p, z), x, x)
  const size = f32x4.abs(x)
  const rest = f32x4.div(c(18), f32x4.add(exp(f32x4.add(size, size)), c(11)))
  const far = v128.or(f32x4.sub(c(11), rest), v128.and(x, c(22)))
  return v128.bitselect(near, far, f32x4.lt(size, c(17)))
}

/** gelu, tanh form: 0.5·x·(1 + tanh u) = x / (1 + e^−2u), u = √(2/π)·(x + 0.044715·x³). */
// @ts-ignore: decorator
@inline
export function gelu(x: v128): v128 {
  const power = f32x4.mul(madd(f32x4.mul(x, x), c(20), c(19)), x)
  return f32x4.div(f32x4.pmax(x, c(21)), f32x4.add(c(11), exp2(power)))
}

/**
 * √x, computed as a vector. For the scalar instruction V8 emits SSE code, which costs 150 to 290 ns
 * while 256-bit registers are in use.
 */
// @ts-ignore: decorator
@inline
export function root(x: f32): f32 {
  return f32x4.extract_lane(f32x4.sqrt(f32x4.splat(x)), 0)
}

/** Sum of the lanes, always in the same order. */
// @ts-ignore: decorator
@inline
export function sumOf(x: v128): f32 {
  return (
    f32x4.extract_lane(x, 0) +
    f32x4.extract_lane(x, 1) +
    (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
  )
}

/** Largest lane. */
// @ts-ignore: decorator
@inline
export function maxOf(x: v128): f32 {
  return max(
    max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  )
}

/** The first lane. */
// @ts-ignore: decorator
@inline
export function first(x: v128): f32 {
  return f32x4.extract_lane(x, 0)
}
