/**
 * Which values of a weight `pack` puts where: the elements from `first` on of an array [blocks,
 * rows, width] into columns at..at+width−1.
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

/**
 * Linear memory of kernels, in this thread or in a worker. Calls take effect in the order in which
 * they are made.
 */
export interface Memory {
  /** Bytes of memory. */
  readonly size: number
  /** Returns the bytes of memory afterwards. Rejects if the system gives no more. */
  grow(bytes: number): Promise<number>
  clear(at: number, bytes: number): void
  write(at: number, values: Uint8Array | Int8Array | Float32Array): void
  pack(values: Float32Array | Int8Array, packing: Packing): void
  /** Copies rows whose beginnings lie `stride` elements apart. */
  read(at: number, rows: number, columns: number, stride: number): Promise<Float32Array>
}
