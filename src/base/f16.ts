/**
 * IEEE 754 half-precision. Float16Array converts arrays if the runtime has it. Node 20 and older
 * browsers do not.
 */

type HalfArray = new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => { set(values: Float32Array): void } & ArrayLike<number>
const { Float16Array: Native } = globalThis as { Float16Array?: HalfArray }

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/**
 * Returns the value of a half-precision bit pattern 0..65535, exactly. Every NaN pattern gives NaN.
 */
export function f16ToF32(half: number): number {
  // Moves exponent and fraction to their place in float32. The factor 2^112 is the difference of
  // the two exponent biases. It also converts subnormals correctly.
  bits[0] = (half & 0x7fff) << 13
  let value = float[0]! * 2 ** 112
  if ((half & 0x7c00) === 0x7c00) value = half & 0x3ff ? NaN : Infinity
  return half & 0x8000 ? -value : value
}

/**
 * Returns the half-precision bit pattern nearest to a float32, ties to even. Magnitudes from 65520
 * on become infinity. Every NaN becomes the quiet NaN 0x7e00, with its sign.
 */
export function f32ToF16(value: number): number {
  float[0] = value
  const sign = (bits[0]! >>> 16) & 0x8000
  const magnitude = bits[0]! & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  // Normal number: changes the exponent bias and rounds off 13 bits. A carry out of the fraction
  // correctly increments the exponent.
  if (magnitude >= 0x38800000)
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  // Subnormal: float32 numbers from 0.5 on are 2^-24 apart, as half-precision subnormals are. So
  // the addition rounds.
  bits[0] = magnitude
  float[0] = float[0]! + 0.5
  return sign | (bits[0]! - 0x3f000000)
}

/**
 * Converts float32 numbers to the nearest half-precision bit patterns, as f32ToF16 does except for
 * the bits of NaN. Four times as fast in Node 24.
 */
export function toHalves(values: Float32Array, halves: Uint16Array): void {
  if (Native) new Native(halves.buffer, halves.byteOffset, values.length).set(values)
  else for (let i = 0; i < values.length; i++) halves[i] = f32ToF16(values[i]!)
}

/** Converts half-precision bit patterns to float32. */
export function fromHalves(halves: Uint16Array, values: Float32Array): void {
  if (Native) values.set(new Native(halves.buffer, halves.byteOffset, halves.length))
  else for (let i = 0; i < halves.length; i++) values[i] = f16ToF32(halves[i]!)
}
