import { exp, first, maxOf, sumOf } from './math'

/**
 * Computes out[j] = e^(scale·(x[j] − max x)) for n columns.
 * @param x may be the same as out
 * @param scale > 0
 * @returns Σ_j out[j]
 */
export function exponentials(out: usize, x: usize, n: i32, scale: f32): f32 {
  const bytes = (<usize>n) << 2
  const vectors = bytes & ~15
  // Four independent maxima, because each step waits for the result of the one before.
  let most = f32x4.splat(-Infinity),
    m1 = most,
    m2 = most,
    m3 = most
  let i: usize = 0
  for (const fours = bytes & ~63; i < fours; i += 64) {
    ;((most = f32x4.pmax(v128.load(x + i), most)), (m1 = f32x4.pmax(v128.load(x + i, 16), m1)))
    ;((m2 = f32x4.pmax(v128.load(x + i, 32), m2)), (m3 = f32x4.pmax(v128.load(x + i, 48), m3)))
  }
  for (; i < vectors; i += 16) most = f32x4.pmax(v128.load(x + i), most)
  let largest = maxOf(f32x4.pmax(f32x4.pmax(most, m1), f32x4.pmax(m2, m3)))
  for (; i < bytes; i += 4) largest = max(largest, load<f32>(x + i))

  const largests = f32x4.splat(largest)
  const scales = f32x4.splat(scale)
  let lanes = f32x4.splat(0)
  // Two vectors at a time, which V8 merges in the wide builds.
  i = 0
  for (const pairs = bytes & ~31; i < pairs; i += 32) {
    const p = exp(f32x4.mul(f32x4.sub(v128.load(x + i), largests), scales)),
      q = exp(f32x4.mul(f32x4.sub(v128.load(x + i, 16), largests), scales))
    ;(v128.store(out + i, q, 16), v128.store(out + i, p))
    lanes = f32x4.add(f32x4.add(lanes, p), q)
  }
  for (; i < vectors; i += 16) {
    const p = exp(f32x4.mul(f32x4.sub(v128.load(x + i), largests), scales))
    v128.store(out + i, p)
    lanes = f32x4.add(lanes, p)
  }
  let sum = sumOf(lanes)
  for (let i = vectors; i < bytes; i += 4) {
    const p = first(exp(f32x4.splat((load<f32>(x + i) - largest) * scale)))
    store<f32>(out + i, p)
    sum += p
  }
  return sum
}
