/**
 * Quantises rows to integers −127..127, for products with int8 weights:
 *
 *     out[i, l] = round(x[i, l] / f[i])
 *     f[i] = max_l |x[i, l]| / 127
 *
 * Shapes: x [rows, k]; out [rows, ⌈k/GROUP⌉·GROUP], zero where there is no column; factors [rows],
 * each of them f and OFFSET times the sum of the quantised row.
 *
 * Lanes: GROUP values are one lane of 32 bits. The relaxed builds have 4 values of 8 bits, as the
 * instruction for dot products requires. The other builds have 2 values of 16 bits, so the loop of
 * the product need not widen them.
 *
 * Every step is exact or rounded by IEEE 754, so results are bit-identical on every runtime.
 *
 * A unit of work is a row.
 */
import { rowAt } from './rows'

/** Values in a lane. */
export const GROUP: i32 = ASC_FEATURE_RELAXED_SIMD ? 4 : 2
/**
 * Added to weights, which are −63..63. In the relaxed builds the second operand of the dot product
 * must be 0..127.
 */
export const OFFSET: i32 = ASC_FEATURE_RELAXED_SIMD ? 64 : 0

/** Rows without a larger value become zero, because 127 / max |x| would be infinite. */
const LEAST: f32 = 1e-36


@unmanaged
export class QuantizeArgs {
  out: usize
  factors: usize
  x: usize
  xStride: i32
  xFrame: i32
  frameRows: i32
  k: i32
}

export function quantize(args: QuantizeArgs, begin: i32, end: i32): void {
  const k = args.k
  const vectors = k & ~3
  const size = 4 / GROUP
  const bytes = (<usize>((k + GROUP - 1) / GROUP)) << 2
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const out = args.out + <usize>row * bytes
    let lanes = f32x4.splat(0)
    for (let i = 0; i < vectors; i += 4)
      lanes = f32x4.max(lanes, f32x4.abs(v128.load(x + ((<usize>i) << 2))))
    // max keeps a NaN; pmax does not. With a NaN, the factor and the row of the product are NaN.
    let largest = max(
      max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
      max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
    )
    for (let i = vectors; i < k; i++) largest = max(largest, abs(load<f32>(x + ((<usize>i) << 2))))

    const inverse: f32 = largest > LEAST ? 127 / largest : 0
    const inverses = f32x4.splat(inverse)
    let sums = i32x4.splat(0)
    for (let i = 0; i < vectors; i += 4) {
      const q = i32x4.trunc_sat_f32x4_s(
        f32x4.nearest(f32x4.mul(v128.load(x + ((<usize>i) << 2)), inverses)),
      )
      sums = i32x4.add(sums, q)
      const halves = i16x8.narrow_i32x4_s(q, q)
      if (GROUP == 4) v128.store32_lane(out + <usize>i, i8x16.narrow_i16x8_s(halves, halves), 0)
      else v128.store64_lane(out + ((<usize>i) << 1), halves, 0)
    }
    let sum =
      i32x4.extract_lane(sums, 0) +
      i32x4.extract_lane(sums, 1) +
      i32x4.extract_lane(sums, 2) +
      i32x4.extract_lane(sums, 3)
    for (let i = vectors; <usize>(i * size) < bytes; i++) {
      const q = i < k ? <i32>nearest<f32>(load<f32>(x + ((<usize>i) << 2)) * inverse) : 0
      sum += q
      if (GROUP == 4) store<i8>(out + <usize>i, <i8>q)
      else store<i16>(out + ((<usize>i) << 1), <i16>q)
    }
    store<f32>(args.factors + ((<usize>row) << 3), largest / 127)
    store<i32>(args.factors + ((<usize>row) << 3), OFFSET * sum, 4)
  }
}
