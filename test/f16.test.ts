import { expect, test } from 'vitest'
import { f16ToF32, f32ToF16, fromHalves, toHalves } from '../src/base/f16.ts'

/** The definition: sign, 5 bits of exponent, 10 of fraction. */
function reference(half: number): number {
  const sign = half >> 15 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

test('every half-precision pattern decodes to its value and encodes to itself', () => {
  for (let half = 0; half < 65536; half++) {
    const value = f16ToF32(half)
    if (!Object.is(value, reference(half)))
      expect.fail(`${half.toString(16)} is ${value}, expected ${reference(half)}`)
    const back = Number.isNaN(value) ? 0x7e00 : half
    if ((f32ToF16(value) & (Number.isNaN(value) ? 0x7fff : 0xffff)) !== back)
      expect.fail(`${half.toString(16)} came back as ${f32ToF16(value).toString(16)}`)
  }
})

test('rounds to the nearer neighbour, and ties to even', () => {
  const bits = new Uint32Array(1)
  const float = new Float32Array(bits.buffer)
  for (let half = 0; half < 0x7c00; half++) {
    // Above 65504 comes the value of 65536, which is infinity.
    const low = reference(half)
    const high = half === 0x7bff ? 65536 : reference(half + 1)
    const even = half % 2 === 0 ? half : half + 1
    float[0] = (low + high) / 2
    if (float[0] !== (low + high) / 2) expect.fail('the middle must be a float32')
    const middle = bits[0]!
    for (const [pattern, expected] of [
      [middle - 1, half],
      [middle, even],
      [middle + 1, half + 1],
    ] as const) {
      bits[0] = pattern
      if (f32ToF16(float[0]) !== expected)
        expect.fail(
          `${float[0]} became ${f32ToF16(float[0]).toString(16)}, ` +
            `expected ${expected.toString(16)}`,
        )
      if (f32ToF16(-float[0]) !== (expected | 0x8000))
        expect.fail(`${-float[0]} became ${f32ToF16(-float[0]).toString(16)}`)
    }
  }
})

test('the ends of the range', () => {
  for (const [value, expected] of [
    [0, 0],
    [-0, 0x8000],
    [2 ** -149, 0],
    [2 ** -25, 0],
    [2 ** -24, 1],
    [65504, 0x7bff],
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [3.4e38, 0x7c00],
    [Infinity, 0x7c00],
    [-Infinity, 0xfc00],
    [NaN, 0x7e00],
  ] as const)
    expect(f32ToF16(value), String(value)).toBe(expected)
})

// In Node 20 both use plain code. Other runtimes have native conversions (test/platforms).
test('arrays give the same as single values', () => {
  const patterns = Uint16Array.from({ length: 65536 }, (_, half) => half)
  const values = new Float32Array(65536)
  fromHalves(patterns, values)
  patterns.forEach(
    (half) =>
      Object.is(values[half], f16ToF32(half)) ||
      expect.fail(`${half.toString(16)} is ${values[half]}`),
  )
  // Every 40,001st float32: values at all distances between two neighbouring halves.
  const all = Float32Array.from(
    { length: Math.floor(2 ** 32 / 40_001) },
    (_, i) => new Float32Array(Uint32Array.of(i * 40_001).buffer)[0]!,
  )
  const halves = new Uint16Array(all.length)
  toHalves(all, halves)
  all.forEach(
    (value, i) =>
      Number.isNaN(value) ||
      halves[i] === f32ToF16(value) ||
      expect.fail(`${value} became ${halves[i]!.toString(16)}`),
  )
})
