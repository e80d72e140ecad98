/**
 * IEEE 754 half precision. Arrays are converted by Float16Array where the runtime has it; Node 20
 * and older browsers do not.
 */

type HalfArray = new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => { set(values: Float32Array): void } & ArrayLike<number>
const { Float16Array: Native } = globalThis as { Float16Array?: HalfArray }

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The value of a half-precision bit pattern 0..65535, exact; a NaN for every NaN pattern. */
export function f16ToF32(half: number): number {
  // Exponent and fraction put where float32 has them; 2^112 is the difference of the two biases,
  // and carries subnormals too.
  bits[0] = (half & 0x7fff) << 13
  let value = float[0]! * 2 ** 112
  if ((half & 0x7c00) === 0x7c00) value = half & 0x3ff ? NaN : Infinity
  return half & 0x8000 ? -value : value
}

/**
 * The half-precision bit pattern nearest to a float32, ties to even. Magnitudes from 65520 on
 * become infinity; every NaN becomes the quiet NaN 0x7e00, with its sign.
 */
export function f32ToF16(value: number): number {
  float[0] = value
  const sign = (bits[0]! >>> 16) & 0x8000
  const magnitude = bits[0]! & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // Normal: rebias the exponent and round away 13 bits; a carry out of the fraction rightly raises
  // the exponent.
  if (magnitude >= 0x38800000)
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  // Subnormal: float32 numbers from 0.5 on are 2^-24 apart, as half-precision subnormals are, so
  // the addition does the rounding.
  bits[0] = magnitude
  float[0] = float[0]! + 0.5
  return sign | (bits[0]! - 0x3f000000)
}

/**
 * The half-precision bit patterns nearest to many float32, as by f32ToF16 but for the bits of NaN;
 * four times as fast in Node 24.
 */
export function toHalves(values: Float32Array, halves: Uint16Array): void {
  if (Native) new Native(halves.buffer, halves.byteOffset, values.length).set(values)
  else for (let i = 0; i < values.length; i++) halves[i] = f32ToF16(values[i]!)
}

/** The values of many half-precision bit patterns. */
export function fromHalves(halves: Uint16Array, values: Float32Array): void {
  if (Native) values.set(new Native(halves.buffer, halves.byteOffset, halves.length))
  else for (let i = 0; i < halves.length; i++) values[i] = f16ToF32(halves[i]!)
}
