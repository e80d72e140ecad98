/**
 * The number formats of checkpoints: sizes, and conversion to float32. Hosts are little-endian, as
 * WebAssembly is.
 */
import { fromHalves } from './f16.ts'

/** Number format of a stored tensor. */
export type DType =
  | 'bool'
  | 'u8'
  | 'i8'
  | 'u16'
  | 'i16'
  | 'f16'
  | 'bf16'
  | 'u32'
  | 'i32'
  | 'f32'
  | 'u64'
  | 'i64'
  | 'f64'

/** Bytes of one value. */
export const itemBytes: Readonly<Record<DType, 1 | 2 | 4 | 8>> = {
  bool: 1,
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  f16: 2,
  bf16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
}

/**
 * Returns the number of values in a tensor of this shape. Returns undefined for an invalid shape: a
 * dimension that is not an integer, more than 64 dimensions, or more than 2^53 bytes. A dimension
 * of 0 does not hide an overflow of the others.
 */
export function countValues(shape: readonly number[], dtype: DType): number | undefined {
  let bytes: number = itemBytes[dtype]
  for (const n of shape) {
    if (!Number.isSafeInteger(n) || n < 0) return undefined
    bytes *= Math.max(n, 1)
  }
  if (shape.length > 64 || !Number.isSafeInteger(bytes)) return undefined
  return shape.includes(0) ? 0 : bytes / itemBytes[dtype]
}

/**
 * Returns the first `count` values in `from` as float32, each rounded once to the nearest. Float32
 * values are not copied: the result is then a view of `from`, else of `into`.
 * @param from little-endian values
 * @param into room for `count` values
 */
export function toFloat32(
  dtype: DType,
  from: ArrayBuffer,
  count: number,
  into: Float32Array,
): Float32Array {
  if (dtype === 'f32') return new Float32Array(from, 0, count)
  const out = into.subarray(0, count)
  if (dtype === 'f16') {
    fromHalves(new Uint16Array(from, 0, count), out)
  } else if (dtype === 'bf16') {
    const tops = new Uint16Array(from, 0, count)
    const bits = new Uint32Array(out.buffer, out.byteOffset, count)
    for (let i = 0; i < count; i++) bits[i] = tops[i]! << 16
  } else if (dtype === 'i64' || dtype === 'u64') {
    const words = new Uint32Array(from, 0, 2 * count)
    for (let i = 0; i < count; i++) out[i] = wide(words[2 * i]!, words[2 * i + 1]!, dtype === 'i64')
  } else if (dtype === 'bool') {
    const bytes = new Uint8Array(from, 0, count)
    for (let i = 0; i < count; i++) out[i] = bytes[i] === 0 ? 0 : 1
  } else {
    out.set(new arrays[dtype](from, 0, count))
  }
  return out
}

const arrays = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f64: Float64Array,
}

/**
 * Returns a 64-bit integer as a number that rounds to the right float32. A double has 53 bits. If
 * the integer has more, its lowest 11 bits are replaced by one bit that tells whether any of them
 * was set. The double is then exact, and the integer is rounded only once.
 */
function wide(low: number, high: number, signed: boolean): number {
  if (signed && high >= 0x80000000) {
    const carry = low === 0 ? 1 : 0
    return -wide(-low >>> 0, (~high + carry) >>> 0, false)
  }
  if (high >= 0x200000 && (low & 0x7ff) !== 0) low = ((low & ~0x7ff) | 0x800) >>> 0
  return high * 2 ** 32 + low
}

/** Converts big-endian values of `size` bytes to little-endian ones, in place. */
export function swapBytes(bytes: Uint8Array, size: 1 | 2 | 4 | 8): void {
  for (let start = 0; start + size <= bytes.length; start += size) {
    for (let i = start, j = start + size - 1; i < j; i++, j--) {
      const byte = bytes[i]!
      bytes[i] = bytes[j]!
      bytes[j] = byte
    }
  }
}
