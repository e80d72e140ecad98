/**
 * WebAssembly features of this runtime: for each, the smallest module that uses it is validated.
 */

const header = [0, 97, 115, 109, 1, 0, 0, 0]

/** Features that kernels use. */
export type WasmFeature = 'simd' | 'relaxedSimd' | 'threads'

const modules: Readonly<Record<WasmFeature, readonly number[]>> = {
  /** (func (result v128) (i8x16.popcnt (i8x16.splat (i32.const 0)))) */
  simd: [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  /**
   * (func (result v128) (i8x16.relaxed_swizzle (i8x16.splat (i32.const 1)) (i8x16.splat (i32.const
   * 2))))
   */
  relaxedSimd: [
    1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128,
    2, 11,
  ],
  /** (memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0)))) */
  threads: [
    1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11,
  ],
}

/** Checks each feature. Threads also need shared memory. */
export function wasmFeatures(): Record<WasmFeature, boolean> {
  const valid = (name: WasmFeature) =>
    WebAssembly.validate(Uint8Array.from([...header, ...modules[name]]))
  return {
    simd: valid('simd'),
    relaxedSimd: valid('relaxedSimd'),
    threads: typeof SharedArrayBuffer === 'function' && valid('threads'),
  }
}
