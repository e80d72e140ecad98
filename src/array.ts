import { TrecvitError } from './error.ts'

/** Numbers with a shape, row-major: what goes into the model and what comes out. */
export interface NdArray<Data extends Float32Array | Uint8Array = Float32Array | Uint8Array> {
  readonly data: Data
  readonly shape: readonly number[]
}

/**
 * @throws TrecvitError unless the data is a Float32Array or Uint8Array of as many elements as the shape says
 */
export function checkArray(name: string, array: NdArray): void {
  const { data, shape } = array ?? {}
  if (!(data instanceof Float32Array || data instanceof Uint8Array) || !Array.isArray(shape)) {
    throw new TrecvitError(`"${name}" expected { data: Float32Array | Uint8Array, shape: number[] }, got ${describe(array)}`)
  }
  const size = shape.reduce((product: number, side: number) => product * side, 1)
  if (size !== data.length) throw new TrecvitError(`"${name}" expected ${size} elements for shape [${shape}], got ${data.length}`)
}

/** What a wrong value is, in a few words. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return typeof value === 'string' ? `"${value}"` : String(value)
  return value.constructor?.name ?? 'an object'
}
