/**
 * Returns element i of a tensor of row indices, limited to 0..n−1, so that no address lies outside
 * the rows.
 */
// @ts-ignore: decorator
@inline
export function indexAt(index: usize, i: i32, n: i32): i32 {
  const value = load<f32>(index + ((<usize>i) << 2))
  const last = <f32>(n - 1)
  // Neither is true for NaN.
  return value > 0 ? (value < last ? <i32>value : n - 1) : 0
}
