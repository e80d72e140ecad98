/** Converts stored bytes to float32 values, chunk by chunk. */

import { countValues, type DType, itemBytes, swapBytes, toFloat32 } from '../base/dtype.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

/** Values per chunk: 1 MiB of float32. */
export const CHUNK: number = 1 << 18

/**
 * Receives a chunk: row-major values of a tensor, the first at index `at`. The array is valid until
 * the call returns or the returned promise resolves. It is reused for the next chunk.
 */
export type Sink = (values: Float32Array, at: number) => void | Promise<void>

/** Fills `into` with the next bytes of a tensor. */
export type Fill = (into: Uint8Array) => Promise<void>

/** Layout of a tensor in its file. */
export interface Layout {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly bigEndian: boolean
  /** Whether the first index is the fastest, instead of the last. */
  readonly fortran: boolean
}

/** Buffers of one read: the stored bytes of a chunk, and its float32 values. */
export interface Scratch {
  readonly bytes: ArrayBuffer
  readonly values: Float32Array
}

/**
 * Buffers for the reads of a checkpoint. They are reused: reads one after another need one set,
 * concurrent reads one set each.
 */
export class ScratchPool {
  readonly #free: Scratch[] = []

  /** Runs `work` with buffers that no other work uses until it ends. */
  async lend<T>(work: (scratch: Scratch) => Promise<T>): Promise<T> {
    const scratch = this.#free.pop() ?? {
      bytes: new ArrayBuffer(8 * CHUNK),
      values: new Float32Array(CHUNK),
    }
    try {
      return await work(scratch)
    } finally {
      this.#free.push(scratch)
    }
  }
}

/**
 * Reads a whole tensor through `fill` and passes it to `sink` as float32 in row-major order.
 * @param name name of the tensor, for error messages
 * @throws TrecvitError if a Fortran-ordered tensor does not fit in memory. Also throws the errors
 * of `fill`, `sink` and `signal`
 */
export async function streamValues(
  name: string,
  layout: Layout,
  fill: Fill,
  sink: Sink,
  scratch: Scratch,
  signal?: AbortSignal,
): Promise<void> {
  if (layout.fortran && layout.shape.filter((n) => n !== 1).length > 1) {
    const whole = allocate(name, countValues(layout.shape, layout.dtype)!)
    await streamStored(layout, fill, (values, at) => whole.set(values, at), scratch, signal)
    await streamTransposed(whole, layout.shape, sink, scratch, signal)
  } else {
    await streamStored(layout, fill, sink, scratch, signal)
  }
}

/** Passes the values on in the order of the file. */
async function streamStored(
  layout: Layout,
  fill: Fill,
  sink: Sink,
  scratch: Scratch,
  signal: AbortSignal | undefined,
): Promise<void> {
  const count = countValues(layout.shape, layout.dtype)!
  const item = itemBytes[layout.dtype]
  for (let at = 0; at < count; at += CHUNK) {
    signal?.throwIfAborted()
    const n = Math.min(CHUNK, count - at)
    const bytes = new Uint8Array(scratch.bytes, 0, n * item)
    await fill(bytes)
    if (layout.bigEndian) swapBytes(bytes, item)
    await sink(toFloat32(layout.dtype, scratch.bytes, n, scratch.values), at)
  }
}

/** Reads a whole Fortran-ordered tensor and passes it on row-major. */
async function streamTransposed(
  whole: Float32Array,
  shape: readonly number[],
  sink: Sink,
  scratch: Scratch,
  signal: AbortSignal | undefined,
): Promise<void> {
  const strides: number[] = []
  let stride = 1
  for (const n of shape) {
    strides.push(stride)
    stride *= n
  }
  const index = shape.map(() => 0)
  let from = 0
  for (let at = 0; at < whole.length; at += CHUNK) {
    signal?.throwIfAborted()
    const out = scratch.values.subarray(0, whole.length - at)
    for (let i = 0; i < out.length; i++) {
      out[i] = whole[from]!
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        from += strides[axis]!
        if (++index[axis]! < shape[axis]!) break
        from -= strides[axis]! * shape[axis]!
        index[axis] = 0
      }
    }
    await sink(out, at)
  }
}

function allocate(name: string, count: number): Float32Array {
  try {
    return new Float32Array(count)
  } catch (error) {
    throw new TrecvitError(
      `Array ${quote(name)} is in Fortran order and needs ${4 * count} bytes of memory: ` +
        'save it in C order',
      { cause: error },
    )
  }
}
