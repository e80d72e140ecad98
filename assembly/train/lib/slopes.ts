/** Slopes of the activations of `linear`, of four lanes at once. */
import { exp } from '../../lib/math'

/** Values of `activation` (src/program/ops/products.ts). */
export const GELU: i32 = 1
export const TANH: i32 = 2

/** Constants are loaded from memory; lib/math.ts tells why. */
const table = memory.data<f32>([
  1.0, //           0
  10.0, //          1 beyond: gelu' is 0 or 1 in float32
  -10.0, //         2
  -1.595769122, //  3 −2·√(2/π)
  -0.0713548163, // 4 the same, times 0.044715
  1.595769122, //   5 2·√(2/π)
  0.2140644488, //  6 the same, times 3·0.044715
])

// @ts-ignore: decorator
@inline
function c(index: i32): v128 {
  return v128.load_splat<f32>(table + (index << 2))
}

/** x·y + z, rounded twice in every build: near its zero a slope is a difference of large terms. */
// @ts-ignore: decorator
@inline
function multiplyAdd(x: v128, y: v128, z: v128): v128 {
  return f32x4.add(f32x4.mul(x, y), z)
}

/**
 * f'(z) from `at`, which is z for gelu and tanh z for tanh; 1 without an activation.
 *
 * gelu, tanh form: gelu(z) = z·σ with σ = 1 / (1 + e), e = e^−2u, u = √(2/π)·(z + 0.044715·z³). So
 * gelu'(z) = σ·(1 + z·e·σ·2u'). Here e·σ = 1 − σ without its cancellation.
 */
// @ts-ignore: decorator
@inline
export function slope(activation: i32, at: v128): v128 {
  if (activation == TANH) return f32x4.mul(f32x4.sub(c(0), at), f32x4.add(c(0), at))
  if (activation != GELU) return c(0)
  const z = f32x4.pmin(f32x4.pmax(at, c(2)), c(1))
  const square = f32x4.mul(z, z)
  const e = exp(f32x4.mul(multiplyAdd(square, c(4), c(3)), z))
  const sigma = f32x4.div(c(0), f32x4.add(c(0), e))
  const growth = f32x4.mul(z, multiplyAdd(square, c(6), c(5)))
  return f32x4.mul(sigma, multiplyAdd(f32x4.mul(e, sigma), growth, c(0)))
}
