import { TrecvitError } from './error.ts'
import { asBytes, asFloats } from './realm.ts'

/** Numbers with a shape, row-major: what goes into the model and what comes out. */
export interface NdArray<Data extends Float32Array | Uint8Array = Float32Array | Uint8Array> {
  /** As many values as the product of the shape. */
  readonly data: Data
  /** Sizes of the axes, the outermost first. */
  readonly shape: readonly number[]
}

/**
 * Checks an array that comes from a caller.
 * @returns the data, as an array of this realm over the same memory
 * @throws TrecvitError unless the data is a Float32Array or Uint8Array of as many elements as the
 *   shape says
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
 * Checks the values of pixels; bytes need no check. One NaN would stay in the state of a stream.
 * Values of 0 to 255 are the usual mistake.
 * @param advice what to do instead
 * @throws TrecvitError at the first float that is not a number from 0 to 1
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

/** Describes a wrong value in a few words. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object')
    return typeof value === 'string' ? `"${value}"` : String(value)
  return value.constructor?.name ?? 'an object'
}
