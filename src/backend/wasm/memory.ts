/**
 * Values that `pack` copies: the elements from `first` on of an array [blocks, rows, width] into
 * columns at..at+width−1 of a weight.
 */
export interface Packing {
  readonly kind: 'matrix' | 'int8' | 'rows'
  readonly to: number
  readonly rows: number
  readonly columns: number
  readonly first: number
  readonly width: number
  readonly at: number
}

/** Linear memory of kernels, in this thread or in a worker. Calls take effect in order. */
export interface Memory {
  /** Bytes of memory. */
  readonly size: number
  /** Returns the size afterwards, in bytes. Rejects if the system has no more memory. */
  grow(bytes: number): Promise<number>
  clear(at: number, bytes: number): void
  write(at: number, values: Uint8Array | Int8Array | Float32Array): void
  pack(values: Float32Array | Int8Array, packing: Packing): void
  /** Copies rows whose first elements are `stride` elements apart. */
  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array>
}
