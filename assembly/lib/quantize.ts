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
 * Every step is exact or rounded by IEEE 754, so results are bit-identical on every runtime. In a
 * row with NaN or infinity the integers are arbitrary: its factor is NaN, and so are its products.
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
/**
 * 1.5·2²³. If it is added to a float32 of magnitude at most 2²², the sum is rounded to an integer,
 * ties to even. Its bits are those of 1.5·2²³ plus that integer. For trunc_sat x86 needs several
 * instructions. The constants are in memory because V8 would build them in each iteration.
 */
const ROUNDS: usize = memory.data<f32>([12582912, 12582912, 12582912, 12582912], 16)
/** All bits of a float32 but the sign. */
const MAGNITUDE: usize = memory.data<i32>([0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff], 16)


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
  const rounds = v128.load(ROUNDS)
  const vectors = k & ~7
  const bytes = (<usize>((k + GROUP - 1) / GROUP)) << 2
  for (let row = begin; row < end; row++) {
    const x = rowAt(args.x, args.xStride, args.xFrame, args.frameRows, row)
    const out = args.out + <usize>row * bytes
    const largest = largestOf(x, k)
    const inverse: f32 = largest > LEAST ? 127 / largest : 0
    const inverses = f32x4.splat(inverse)
    let sums = i32x4.splat(0)
    for (let i = 0; i < vectors; i += 8) {
      const from = x + ((<usize>i) << 2)
      const v0 = f32x4.add(f32x4.mul(v128.load(from), inverses), rounds),
        v1 = f32x4.add(f32x4.mul(v128.load(from, 16), inverses), rounds)
      const q = i16x8.narrow_i32x4_s(i32x4.sub(v0, rounds), i32x4.sub(v1, rounds))
      if (GROUP == 4) {
        v128.store64_lane(out + <usize>i, i8x16.narrow_i16x8_s(q, q), 0)
        sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(q))
      } else v128.store(out + ((<usize>i) << 1), q)
    }
    let sum =
      i32x4.extract_lane(sums, 0) +
      i32x4.extract_lane(sums, 1) +
      i32x4.extract_lane(sums, 2) +
      i32x4.extract_lane(sums, 3)
    for (let i = vectors; <usize>(i * (4 / GROUP)) < bytes; i++) {
      const q = i < k ? <i32>nearest<f32>(load<f32>(x + ((<usize>i) << 2)) * inverse) : 0
      sum += q
      if (GROUP == 4) store<i8>(out + <usize>i, <i8>q)
      else store<i16>(out + ((<usize>i) << 1), <i16>q)
    }
    // ∞ − ∞ is NaN.
    store<f32>(args.factors + ((<usize>row) << 3), largest / 127 + (largest - largest))
    store<i32>(args.factors + ((<usize>row) << 3), OFFSET * sum, 4)
  }
}

/**
 * Returns the largest |x[l]| of a row, or NaN if the row has one. Without their sign, float32
 * values are ordered like their bits, and NaN is above all numbers.
 */
// @ts-ignore: decorator
@inline
function largestOf(x: usize, k: i32): f32 {
  const magnitude = v128.load(MAGNITUDE)
  let even = i32x4.splat(0),
    odd = even
  const pairs = k & ~7
  for (let i = 0; i < pairs; i += 8) {
    const from = x + ((<usize>i) << 2)
    even = i32x4.max_s(even, v128.and(v128.load(from), magnitude))
    odd = i32x4.max_s(odd, v128.and(v128.load(from, 16), magnitude))
  }
  even = i32x4.max_s(even, odd)
  let largest = max(
    max(i32x4.extract_lane(even, 0), i32x4.extract_lane(even, 1)),
    max(i32x4.extract_lane(even, 2), i32x4.extract_lane(even, 3)),
  )
  for (let i = pairs; i < k; i++)
    largest = max(largest, load<i32>(x + ((<usize>i) << 2)) & 0x7fffffff)
  return reinterpret<f32>(largest)
}

/** Returns factor·scale·(sum − offset) + bias: four results of a product of quantised values. */
// @ts-ignore: decorator
@inline
export function dequantised(sum: v128, factor: v128, offset: v128, scale: v128, bias: v128): v128 {
  const integer = f32x4.convert_i32x4_s(i32x4.sub(sum, offset))
  return f32x4.add(f32x4.mul(integer, f32x4.mul(factor, scale)), bias)
}
