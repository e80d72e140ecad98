import { madd, sumOf } from './math'

// Four independent sums, because each addition waits for the result of the one before.

/** Σ x[i] over a row of `bytes`. */
export function sumOfRow(x: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0
  let i: usize = 0
  for (const fours = bytes & ~63; i < fours; i += 64) {
    ;((s0 = f32x4.add(s0, v128.load(x + i))), (s1 = f32x4.add(s1, v128.load(x + i, 16))))
    ;((s2 = f32x4.add(s2, v128.load(x + i, 32))), (s3 = f32x4.add(s3, v128.load(x + i, 48))))
  }
  for (const vectors = bytes & ~15; i < vectors; i += 16) s0 = f32x4.add(s0, v128.load(x + i))
  let sum = sumOf(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)))
  for (; i < bytes; i += 4) sum += load<f32>(x + i)
  return sum
}

/** Σ (x[i] − mean)² over a row of `bytes`. */
export function sumOfSquares(x: usize, bytes: usize, mean: f32): f32 {
  const means = f32x4.splat(mean)
  let s0 = f32x4.splat(0),
    s1 = s0,
    s2 = s0,
    s3 = s0
  let i: usize = 0
  for (const fours = bytes & ~63; i < fours; i += 64) {
    const v0 = f32x4.sub(v128.load(x + i), means),
      v1 = f32x4.sub(v128.load(x + i, 16), means)
    const v2 = f32x4.sub(v128.load(x + i, 32), means),
      v3 = f32x4.sub(v128.load(x + i, 48), means)
    ;((s0 = madd(v0, v0, s0)),
      (s1 = madd(v1, v1, s1)),
      (s2 = madd(v2, v2, s2)),
      (s3 = madd(v3, v3, s3)))
  }
  for (const vectors = bytes & ~15; i < vectors; i += 16) {
    const v = f32x4.sub(v128.load(x + i), means)
    s0 = madd(v, v, s0)
  }
  let sum = sumOf(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)))
  for (; i < bytes; i += 4) {
    const v = load<f32>(x + i) - mean
    sum += v * v
  }
  return sum
}
