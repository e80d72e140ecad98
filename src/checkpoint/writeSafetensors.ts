/** Writes .safetensors files chunk by chunk, in bounded memory. */

import { countValues, itemBytes } from '../base/dtype.ts'
import { TrecvitError } from '../base/error.ts'
import { toHalves } from '../base/f16.ts'
import { quote } from '../base/quote.ts'
import { encodeText } from '../platform/web.ts'
import { MAX_HEADER } from './safetensors.ts'
import { CHUNK, type Sink } from './values.ts'

/** A tensor to write. */
export interface TensorSource {
  readonly name: string
  readonly shape: readonly number[]
  /** Number format in the file. */
  readonly dtype: 'f32' | 'f16' | 'i8'
  /**
   * Passes all values to `sink` in row-major order and waits for the promise of each call. Example:
   * `(sink) => checkpoint.read(name, sink)`.
   */
  readonly values: (sink: Sink) => Promise<void>
}

/**
 * Writes tensors as one .safetensors file. Float32 tensors come first, then float16, then int8, so
 * that all are aligned as the reference requires. Values of int8 tensors must be integers from -128
 * to 127.
 * @param metadata strings for `__metadata__`
 * @param write writes the next bytes of the file; they are valid until its promise resolves
 * @throws TrecvitError if two tensors have the same name, a shape does not match its values, or a
 * finite value overflows float16. The bytes written so far are not a valid file
 */
export async function writeSafetensors(
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const ordered = [...tensors].sort((a, b) => itemBytes[b.dtype] - itemBytes[a.dtype])
  await write(encodeHeader(ordered, metadata))
  const halves = new Uint16Array(CHUNK)
  const bytes = new Int8Array(CHUNK)
  for (const tensor of ordered) {
    const count = countOf(tensor)
    let done = 0
    await tensor.values(async (values, at) => {
      if (at !== done)
        throw new TrecvitError(
          `Tensor ${quote(tensor.name)} was given value ${at} when value ${done} was next`,
        )
      done += values.length
      if (tensor.dtype === 'f32')
        return write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
      for (let from = 0; from < values.length; from += CHUNK) {
        const part = values.subarray(from, from + CHUNK)
        if (tensor.dtype === 'i8') {
          bytes.set(part)
          await write(new Uint8Array(bytes.buffer, 0, part.length))
          continue
        }
        checkedHalves(part, halves, tensor.name, at + from)
        await write(new Uint8Array(halves.buffer, 0, 2 * part.length))
      }
    })
    if (done !== count)
      throw new TrecvitError(
        `Tensor ${quote(tensor.name)} was given ${done} values, ` +
          `but shape [${tensor.shape.join(', ')}] has ${count}`,
      )
  }
}

function encodeHeader(
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries = new Map<string, unknown>()
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata)
  let at = 0
  for (const tensor of tensors) {
    const { name, shape, dtype } = tensor
    if (name === '__metadata__')
      throw new TrecvitError(
        'A tensor cannot be named "__metadata__" in a safetensors file: rename it',
      )
    if (entries.has(name))
      throw new TrecvitError(
        `Two tensors are named ${quote(name)}: a safetensors file needs different names`,
      )
    const end = at + countOf(tensor) * itemBytes[dtype]
    entries.set(name, { dtype: dtype.toUpperCase(), shape, data_offsets: [at, end] })
    at = end
  }
  const members = Array.from(
    entries,
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  )
  const text = encodeText(`{${members.join(',')}}`)
  const length = Math.ceil(text.length / 8) * 8
  if (length > MAX_HEADER)
    throw new TrecvitError(
      `A safetensors header of ${length} bytes is larger than the ${MAX_HEADER} that are read: ` +
        'use fewer tensors or less metadata',
    )
  const bytes = new Uint8Array(8 + length).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(text, 8)
  return bytes
}

function countOf({ name, shape, dtype }: TensorSource): number {
  const count = countValues(shape, dtype)
  if (count === undefined)
    throw new TrecvitError(`Tensor ${quote(name)} cannot have shape [${shape.join(', ')}]`)
  return count
}

function checkedHalves(values: Float32Array, halves: Uint16Array, name: string, at: number): void {
  toHalves(values, halves)
  for (let i = 0; i < values.length; i++) {
    if ((halves[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw new TrecvitError(
        `Value ${at + i} of tensor ${quote(name)} is ${values[i]}, ` +
          'past the largest float16 (65504): write it as float32',
      )
    }
  }
}
