import type { DType } from '../base/dtype.ts'
import type { Sink } from './values.ts'

/** Shape and format of a tensor, known without reading it. */
export interface TensorInfo {
  /** As in the file, for example `encoder/norm/scale`. */
  readonly name: string
  /** [] for a single number; a dimension may be 0. */
  readonly shape: readonly number[]
  /** As stored; values are read as float32. */
  readonly dtype: DType
}

/** Tensors of a file. They may be read until its source is closed. */
export interface Reader {
  /** File name, for messages. */
  readonly name: string
  /** By the first bytes of the file, not by its name. */
  readonly format: 'npz' | 'safetensors'
  /** Bytes of the file. */
  readonly size: number
  /** In the order of their data: reading in this order is fastest, over HTTP by far. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /**
   * Entries that hold no numbers, by name: text, dates, Python objects, other files. The value is a
   * sentence that says why. Their contents are never read.
   */
  readonly skipped: ReadonlyMap<string, string>
  /** `__metadata__` of a safetensors file, without a prototype; empty for npz. */
  readonly metadata: Readonly<Record<string, string>>
  /**
   * Gives one tensor's values to `sink`, row-major, rounded to float32, in chunks of at most 2^18
   * values. A chunk is only valid until `sink` returns or the promise it returned resolves. Several
   * reads may be under way at once.
   * @throws TrecvitError when there is no such tensor, or the file is damaged. An .npz shows damage
   * only after its last chunk, by the checksum: nothing that `sink` got may be used then
   */
  read(name: string, sink: Sink, signal?: AbortSignal): Promise<void>
}
