/** Row indices for the tests of gather and scatter. */

/**
 * Returns v different indices of 0..n−1 for each of b videos, in no order. They differ between
 * videos.
 */
export function indices(b: number, v: number, n: number): Float32Array {
  // Steps of a number without a common factor reach every index once.
  const common = (x: number, y: number): number => (y ? common(y, x % y) : x)
  let step = Math.max(1, Math.floor(n / 3))
  while (common(step, n) > 1) step++
  return Float32Array.from(
    { length: b * v },
    (_, at) => (Math.floor(at / v) * 2 + 1 + (at % v) * step) % n,
  )
}
