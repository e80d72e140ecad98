import { exp, first, maxOf, sumOf } from './math'

/** out[j] = e^(scale·(x[j] − max x)) over n columns; returns their sum. x and out may be the same. scale > 0. */
export function exponentials(out: usize, x: usize, n: i32, scale: f32): f32 {
  const bytes = <usize>n << 2
  const vectors = bytes & ~15
  let lanes = f32x4.splat(-Infinity)
  for (let i: usize = 0; i < vectors; i += 16) lanes = f32x4.pmax(v128.load(x + i), lanes)
  let largest = maxOf(lanes)
  for (let i = vectors; i < bytes; i += 4) largest = max(largest, load<f32>(x + i))

  const largests = f32x4.splat(largest)
  const scales = f32x4.splat(scale)
  lanes = f32x4.splat(0)
  // Two vectors at a time, which V8 makes one of in the wide builds.
  let i: usize = 0
  for (const pairs = bytes & ~31; i < pairs; i += 32) {
    const p = exp(f32x4.mul(f32x4.sub(v128.load(x + i), largests), scales)), q = exp(f32x4.mul(f32x4.sub(v128.load(x + i, 16), largests), scales))
    v128.store(out + i, p), v128.store(out + i, q, 16)
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
