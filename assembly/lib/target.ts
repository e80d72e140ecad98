/**
 * The target of a build: its instructions, and the tile of a matrix product that fits its
 * registers. Some constants are set when a build is compiled (asconfig.json). The others are
 * imports, set when it is loaded (src/backend/wasm/kernels.ts).
 */

/** Whether this is a build for V8's revectorisation: `wide` or `wide-relaxed`. */
// @ts-ignore: a constant of the compiler's command line
export const WIDE: bool = isDefined(PAIRS)
/** Columns of a panel of weights. */
export const PANEL: i32 = 8
/** Rows of a full tile of float32 (lib/tile.mjs lists the registers of each tile). */
export const TILE: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 5
/** Zeros for the 16 columns of two panels: the start of sums without a bias. */
export const ZEROS: usize = memory.data(2 * PANEL * 4, 16)
/** Eight 16-bit ones: a dot product with them adds neighbouring pairs. */
export const ONES: usize = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1], 16)
/**
 * Whether this runtime keeps the order of instructions in a long loop (keepsOrder in
 * src/platform/platform.ts). True on runtimes that run the wide builds.
 */
// @ts-ignore: decorator
@external('env', 'unrolls')
export declare const UNROLLS: bool
/**
 * Whether this runtime has one instruction for a dot product of 8-bit integers and its sum
 * (src/backend/wasm/capabilities.ts). If not, two instructions are faster.
 */
// @ts-ignore: decorator
@external('env', 'dots')
export declare const DOTS: bool

/** Kinds of tile: float32. */
export const F32: i32 = 0
/** Quantised values (lib/quantize.ts), one instruction for dot product and sum. */
export const INT8: i32 = 1
/** Quantised values, one instruction for the dot product and one for the sum. */
export const INT8_SPLIT: i32 = 2

/**
 * Rows of a full tile of quantised values. INT8_SPLIT has one row less: `ones` and the product
 * before its sum need the registers of one row.
 */
// @ts-ignore: decorator
@inline
export function int8Rows(): i32 {
  return ASC_FEATURE_RELAXED_SIMD && !DOTS ? 5 : TILE
}

/**
 * sum + x·w in each 32-bit lane.
 *
 * F32: rounded twice in the builds without relaxed instructions. The relaxed builds round once if
 * the runtime fuses the two operations.
 *
 * INT8, INT8_SPLIT: the dot product of the GROUP values of a lane, exact. In the relaxed builds x
 * must be −127..127 and w 0..127.
 */
// @ts-ignore: decorator
@inline
export function multiplyAdd(kind: i32, x: v128, w: v128, sum: v128, ones: v128): v128 {
  return kind == F32
    ? ASC_FEATURE_RELAXED_SIMD
      ? f32x4.relaxed_madd(x, w, sum)
      : f32x4.add(sum, f32x4.mul(x, w))
    : ASC_FEATURE_RELAXED_SIMD
      ? kind == INT8
        ? i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum)
        : i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(x, w), ones))
      : i32x4.add(sum, i32x4.dot_i16x8_s(x, w))
}
