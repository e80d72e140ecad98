/**
 * What the relaxed operations do here, found out by what comes of numbers for which they may
 * differ.
 */
import { keepsOrder } from '../../platform/platform.ts'
import type { Choices } from './kernels.ts'

/** What is faster here. Workers are told, so that their script needs no probes. */
export function choose(): Choices {
  return { unrolls: +keepsOrder(), dots: +dots() }
}

/**
 * Whether relaxed multiply-add is there and rounds once: 16777218·3 + 3 is 50331656 then, and
 * 50331660 else. Not fused it would be slower than the other build, which is made for that.
 */
export function fuses(): boolean {
  return result(FUSES) === 50331656
}

/**
 * Whether the relaxed dot product with a sum is one instruction. x86 without AVX-VNNI has several
 * for it, the first of which ends at 32767: of four times 127·255 it leaves 65534.
 */
function dots(): boolean {
  return result(DOTS) !== 65534
}

/** What the only function of a module gives, or NaN if there is no such operation. */
function result(bytes: Uint8Array): number {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource))
    return (exports['f'] as () => number)()
  } catch {
    return NaN
  }
}

/**
 * (func (export "f") (result f32) (f32x4.extract_lane 0 (f32x4.relaxed_madd (splat 16777218) (splat
 * 3) (splat 3))))
 */
const FUSES = /* @__PURE__ */ Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  125,
  3,
  2,
  1,
  0,
  7,
  5,
  1,
  1,
  102,
  0,
  0,
  10,
  31,
  1,
  29,
  0,
  67,
  1,
  0,
  128,
  75,
  253,
  19,
  67,
  0,
  0,
  64,
  64,
  253,
  19,
  67,
  0,
  0,
  64,
  64,
  253,
  19,
  253,
  133,
  2,
  253,
  31,
  0,
  11,
)

/**
 * (func (export "f") (result i32) (i32x4.extract_lane 0 (i32x4.relaxed_dot_i8x16_i7x16_add_s (splat
 * 127) (splat 255) (splat 0))))
 */
const DOTS = /* @__PURE__ */ Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  127,
  3,
  2,
  1,
  0,
  7,
  5,
  1,
  1,
  102,
  0,
  0,
  10,
  24,
  1,
  22,
  0,
  65,
  255,
  0,
  253,
  15,
  65,
  255,
  1,
  253,
  15,
  65,
  0,
  253,
  15,
  253,
  147,
  2,
  253,
  27,
  0,
  11,
)
