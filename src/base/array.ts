import { TrecvitError } from './error.ts'
import { asBytes, asFloats } from './realm.ts'

/** Numbers with a shape, row-major. Inputs and outputs of models have this type. */
export interface NdArray<Data extends Float32Array | Uint8Array = Float32Array | Uint8Array> {
  /** The values. Their number is the product of the shape. */
  readonly data: Data
  /** Sizes of the axes, the outermost first. */
  readonly shape: readonly number[]
}

/**
 * Checks an array that a caller passed.
 * @returns the data, as an array of this realm over the same memory
 * @throws TrecvitError unless the data is a Float32Array or Uint8Array whose length is the product
 * of the shape
 */
export function checkArray(name: string, array: NdArray): Float32Array | Uint8Array {
  const { data: given, shape } = array ?? {}
  const data = ArrayBuffer.isView(given) ? (asBytes(given) ?? asFloats(given)) : undefined
  if (!data || !Array.isArray(shape)) {
    throw new TrecvitError(
      `"${name}" expected { data: Float32Array | Uint8Array, shape: number[] }, ` +
        `got ${describe(array)}`,
    )
  }
  if (!shape.every((side) => Number.isInteger(side) && side >= 0)) {
    throw new TrecvitError(`"${name}" expected a shape of integers, got [${shape}]`)
  }
  const size = shape.reduce((product: number, side: number) => product * side, 1)
  if (size !== data.length)
    throw new TrecvitError(
      `"${name}" expected ${size} elements for shape [${shape}], got ${data.length}`,
    )
  return data
}

/**
 * Checks that float32 pixels are from 0 to 1. Bytes need no check. A NaN would stay in the states
 * of a stream. The most frequent mistake is values from 0 to 255.
 * @param advice what to do instead
 * @throws TrecvitError at the first number outside 0..1
 */
export function checkPixels(
  name: string,
  data: Float32Array | Uint8Array,
  advice = 'pass 0 to 255 as a Uint8Array',
): void {
  if (data instanceof Uint8Array) return
  for (let i = 0; i < data.length; i++) {
    if (data[i]! >= 0 && data[i]! <= 1) continue
    throw new TrecvitError(
      `"${name}" expected float32 numbers from 0 to 1, got ${data[i]} at value ${i}; ${advice}`,
    )
  }
}

/** @throws TrecvitError unless an option is an integer of at least 1 */
export function checkCount(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return
  throw new TrecvitError(`"${name}" expected an integer, at least 1, got ${describe(value)}`)
}

/** Describes a wrong value in a few words, for an error. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object')
    return typeof value === 'string' ? `"${value}"` : String(value)
  return value.constructor?.name ?? 'an object'
}
