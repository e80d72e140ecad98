import type { DType } from '../base/dtype.ts'
import type { Sink } from './values.ts'

/** Shape and format of a tensor, known without reading it. */
export interface TensorInfo {
  /** Name in the file, for example `encoder/norm/scale`. */
  readonly name: string
  /** [] for a single number. A dimension may be 0. */
  readonly shape: readonly number[]
  /** Number format in the file. Values are read as float32. */
  readonly dtype: DType
}

/** Tensors of a file. They can be read until the source is closed. */
export interface Reader {
  /** File name, for error messages. */
  readonly name: string
  /** Determined by the first bytes of the file, not by its name. */
  readonly format: 'npz' | 'safetensors'
  /** Size of the file in bytes. */
  readonly size: number
  /** Tensors in the order of their data. Reading in this order is fastest, especially over HTTP. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /**
   * Skipped entries by name: text, dates, Python objects, other files. The value is a sentence with
   * the reason. Their contents are never read.
   */
  readonly skipped: ReadonlyMap<string, string>
  /** `__metadata__` of a safetensors file, an object without prototype. Empty for npz. */
  readonly metadata: Readonly<Record<string, string>>
  /**
   * Passes the values of one tensor to `sink`: row-major, rounded to float32, in chunks of at most
   * 2^18 values. A chunk is valid until `sink` returns or its promise resolves. Several reads may
   * be under way at once.
   * @throws TrecvitError if there is no such tensor, or the file is damaged. The checksum of an
   * .npz is checked after the last chunk. If it does not match, discard all values of the tensor
   */
  read(name: string, sink: Sink, signal?: AbortSignal): Promise<void>
}
