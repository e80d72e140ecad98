/**
 * .safetensors: a JSON header with the place of each tensor, then the tensors without gaps.
 *
 *     header length (u64) | header | values
 *
 * The header is JSON: {"__metadata__": {..}, "name": {"dtype": "F32", "shape": [2,3],
 * "data_offsets": [0,24]}, ..}.
 *
 * Reference: https://github.com/huggingface/safetensors#format
 */

import { countValues, type DType, itemBytes } from '../base/dtype.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { decodeText } from '../platform/web.ts'
import type { Reader, TensorInfo } from './reader.ts'
import { type Header, parseHeader } from './safetensorsHeader.ts'
import type { Source } from './source.ts'
import { type Layout, ScratchPool, streamValues } from './values.ts'

/** Largest header in bytes, as in the reference. */
export const MAX_HEADER = 100_000_000

/** Number formats by their names in the header: our names in capitals. */
const formats: ReadonlyMap<string, DType> = new Map(
  (Object.keys(itemBytes) as DType[]).map((dtype) => [dtype.toUpperCase(), dtype]),
)

/** A tensor and its place in the file. */
interface Place {
  readonly info: TensorInfo
  readonly layout: Layout
  readonly at: number
}

/** Supported tensors by name, and the reasons why others are skipped. */
interface Located {
  readonly located: ReadonlyMap<string, Place>
  readonly skipped: ReadonlyMap<string, string>
}

/**
 * Reads the header of a .safetensors file. Tensors in number formats that are not supported are
 * skipped.
 * @param headerBytes the first number of the file, checked to be within the file
 * @throws TrecvitError if the header is damaged, its tensors do not cover the file exactly, or none
 * of them is supported
 */
export async function openSafetensors(source: Source, headerBytes: number): Promise<Reader> {
  const file = quote(source.name)
  const bytes = new Uint8Array(headerBytes)
  await source.read(8, bytes)
  let text: string
  try {
    text = decodeText(bytes, 'utf-8', { fatal: true, ignoreBOM: true })
  } catch (error) {
    throw new TrecvitError(`The header of ${file} is not UTF-8: the file is damaged`, {
      cause: error,
    })
  }
  const header = parseHeader(text, file)
  const { located, skipped } = locate(header, 8 + headerBytes, source.size, file)
  const pool = new ScratchPool()
  return {
    name: source.name,
    format: 'safetensors',
    size: source.size,
    tensors: new Map(Array.from(located, ([name, { info }]) => [name, info])),
    skipped,
    metadata: header.metadata,
    async read(name, sink, signal) {
      const tensor = located.get(name)
      if (tensor === undefined) {
        throw new TrecvitError(
          skipped.get(name) ?? `Checkpoint ${file} has no tensor ${quote(name)}`,
        )
      }
      let { at } = tensor
      const fill = async (into: Uint8Array): Promise<void> => {
        await source.read(at, into)
        at += into.length
      }
      await pool.lend((scratch) => streamValues(name, tensor.layout, fill, sink, scratch, signal))
    },
  }
}

/** Sorts the tensors by offset and checks that they cover the data exactly. */
function locate(header: Header, start: number, size: number, file: string): Located {
  const located = new Map<string, Place>()
  const skipped = new Map<string, string>()
  const entries = [...header.tensors].sort(
    ([, a], [, b]) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1],
  )
  let at = start
  for (const [name, { dtype: format, shape, offsets }] of entries) {
    const what = `Tensor ${quote(name)} of ${file}`
    const dtype = formats.get(format)
    const length = offsets[1] - offsets[0]
    if (dtype ? bytesOf(shape, dtype) !== length : length < 0) {
      throw new TrecvitError(
        `${what} is ${format} of shape [${shape.join(', ')}], ` +
          `which does not fit its bytes ${offsets[0]} to ${offsets[1]}: the file is damaged`,
      )
    }
    if (start + offsets[0] !== at)
      throw new TrecvitError(
        `${what} begins at byte ${start + offsets[0]}, but the one before it ends at ${at}: ` +
          'the file is damaged',
      )
    if (dtype) {
      const layout = { dtype, shape, bigEndian: false, fortran: false }
      located.set(name, { info: { name, shape, dtype }, layout, at })
    } else {
      const known = [...formats.keys()].join(', ')
      skipped.set(name, `${what} has dtype ${quote(format)}: ${known} are read`)
    }
    at = start + offsets[1]
  }
  if (at !== size)
    throw new TrecvitError(
      `Checkpoint ${file} has ${size} bytes, but its tensors end at byte ${at}: ` +
        'it is cut short or damaged',
    )
  const [first] = skipped.values()
  if (located.size === 0 && first !== undefined) throw new TrecvitError(first)
  return { located, skipped }
}

/** Returns the bytes of a tensor, or undefined if its shape is not valid. */
function bytesOf(shape: readonly number[], dtype: DType): number | undefined {
  const count = countValues(shape, dtype)
  return count === undefined ? undefined : count * itemBytes[dtype]
}
