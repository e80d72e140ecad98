/**
 * The .npy format: a header in Python's notation, then the values.
 *
 *     \x93NUMPY | major, minor | header length (u16; u32 from version 2) | header | values
 *
 * The header is text like {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
 *
 * Reference: numpy/lib/format.py.
 */

import { crc32 } from '../base/crc32.ts'
import { countValues, type DType, itemBytes } from '../base/dtype.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { decodeText, encodeText } from '../platform/web.ts'
import type { Fill, Layout } from './values.ts'

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** Largest header. numpy needs about 100 bytes for an array of numbers. */
const MAX_HEADER = 1 << 16

const KEY = /(?<quote>['"])(?<key>\w+)\k<quote>/.source
const TEXT = /(?<mark>['"])(?<text>[^'"]*)\k<mark>/.source
const OTHER = /(?<bool>True|False)|\((?<tuple>[\d\s,L]*)\)/.source

/** Matches `'key': value,` in the header. A value that starts with [ is the list of a structure. */
const FIELD = new RegExp(
  `\\s*${KEY}\\s*:\\s*(?:(?<list>\\[)|(?:${TEXT}|${OTHER})\\s*(?:,|(?=\\})))`,
  'y',
)

/** Error for a valid array whose values are not supported numbers. */
export class NotNumbers extends TrecvitError {
  /** Bytes of the values, or null if their size is unknown. */
  readonly bytes: number | null

  constructor(message: string, bytes: number | null) {
    super(message)
    this.bytes = bytes
  }
}

/** Contents of a .npy header. */
export interface NpyHeader extends Layout {
  /** The header as stored, with magic number. The values follow it. */
  readonly bytes: Uint8Array
}

/** Descriptions of unsupported values, by the kind in the dtype. */
const refusals: Readonly<Record<string, string>> = {
  O: 'Python objects (a pickle), whose code would run',
  U: 'text',
  S: 'text',
  a: 'text',
  V: 'raw bytes or a structure',
  c: 'complex numbers',
  M: 'dates',
  m: 'time spans',
  f: 'numbers of an unsupported format',
}

/**
 * Reads the header of an .npy file.
 * @param what the subject of error messages
 * @throws NotNumbers if the values are not numbers
 * @throws TrecvitError if it is not an .npy file, or is damaged
 */
export async function readNpyHeader(fill: Fill, what: string): Promise<NpyHeader> {
  const start = new Uint8Array(12)
  await fill(start.subarray(0, 10))
  const version = start[6]!
  if (MAGIC.some((byte, i) => byte !== start[i]) || version < 1 || version > 3) {
    throw new TrecvitError(`${what} is not in .npy format 1 to 3: save it with numpy.savez`)
  }
  const lead = version === 1 ? 10 : 12
  if (lead === 12) await fill(start.subarray(10))
  const view = new DataView(start.buffer)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > MAX_HEADER) throw damaged(what)
  const bytes = new Uint8Array(lead + length)
  bytes.set(start.subarray(0, lead))
  await fill(bytes.subarray(lead))
  const text = decodeText(bytes.subarray(lead), version === 3 ? 'utf-8' : 'latin1')
  return { bytes, ...parseHeader(text, what) }
}

function parseHeader(text: string, what: string): Layout {
  const fields = new Map<string, Record<string, string | undefined>>()
  const open = /^\s*\{/.exec(text)
  if (open === null) throw damaged(what)
  let last = (FIELD.lastIndex = open[0].length)
  for (let match = FIELD.exec(text); match !== null; match = FIELD.exec(text)) {
    last = FIELD.lastIndex
    const field = match.groups!
    if (field['list'] !== undefined) {
      const holds = 'holds a structure of several fields'
      throw new NotNumbers(`${what} ${holds}: save each field as an array`, null)
    }
    if (fields.has(field['key']!)) throw damaged(what)
    fields.set(field['key']!, field)
  }
  if (fields.size !== 3 || !/^\s*\}\s*$/.test(text.slice(last))) throw damaged(what)
  const descr = fields.get('descr')?.['text']
  const order = fields.get('fortran_order')?.['bool']
  const dims = fields.get('shape')?.['tuple']
  if (descr === undefined || order === undefined || dims === undefined) throw damaged(what)
  const shape = dims.trim() === '' ? [] : dims.split(',')
  if (shape.length > 1 && shape.at(-1)!.trim() === '') shape.pop() // (3,) has a trailing comma
  // L: a Python 2 long integer
  if (!shape.every((n) => /^\s*\d+L?\s*$/.test(n))) throw damaged(what)
  const sides = shape.map((n) => Number.parseFloat(n))
  const dtype = parseDescr(descr, sides, what)
  return { dtype, shape: sides, bigEndian: descr.startsWith('>'), fortran: order === 'True' }
}

function damaged(what: string): TrecvitError {
  return new TrecvitError(`${what} has a damaged .npy header: save or download it again`)
}

function parseDescr(descr: string, shape: readonly number[], what: string): DType {
  const [, kind = '', size = ''] = /^[<>|=]?([a-zA-Z?])(\d*)(?:\[[^\]]*\])?$/.exec(descr) ?? []
  // The dtype has the size in bytes, our names in bits.
  const dtype = ['?', 'b1'].includes(kind + size) ? 'bool' : kind + 8 * Number(size)
  if (Object.hasOwn(itemBytes, dtype) && !descr.endsWith(']')) return dtype as DType
  const holds = refusals[kind]
  const shown = quote(descr.slice(0, 40))
  const message =
    `${what} holds ${holds ?? 'values of an unsupported format'} (dtype ${shown}): ` +
    'save it as numbers, for example float32'
  if (holds === undefined) throw new TrecvitError(message)
  // The size of pickled objects is unknown. A character of text has four bytes.
  const bytes = kind === 'O' ? null : Number(size) * (kind === 'U' ? 4 : 1)
  const count = countValues(shape, 'u8')
  throw new NotNumbers(message, bytes === null || count === undefined ? bytes : bytes * count)
}

/** An array to write: float32 or bytes. */
export interface NpyArray {
  readonly data: Float32Array | Uint8Array
  readonly shape: readonly number[]
}

/**
 * Encodes an .npy file of float32 (`<f4`) or bytes (`|u1`), row-major.
 * @throws TrecvitError if the shape does not match the length of the data
 */
export function encodeNpy(data: Float32Array | Uint8Array, shape: readonly number[]): Uint8Array {
  const dtype = data instanceof Float32Array ? 'f32' : 'u8'
  if (countValues(shape, dtype) !== data.length)
    throw new TrecvitError(
      `An array of ${data.length} values cannot be written as shape [${shape.join(', ')}]`,
    )
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const header =
    `{'descr': '${dtype === 'f32' ? '<f4' : '|u1'}', 'fortran_order': False, 'shape': ` +
    `(${tuple}), }`
  // The header ends with a line feed, so that the values begin at a multiple of 64 bytes.
  const start = Math.ceil((10 + header.length + 1) / 64) * 64
  const bytes = new Uint8Array(start + data.byteLength)
  bytes.set(MAGIC)
  bytes[6] = 1
  new DataView(bytes.buffer).setUint16(8, start - 10, true)
  bytes.set(encodeText(`${header.padEnd(start - 11)}\n`), 10)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start)
  return bytes
}

/**
 * Encodes an .npz file without compression, like numpy.savez. Equal arrays give equal bytes.
 * @throws TrecvitError if a shape does not match its data, a name is used twice, or the file would
 * need zip64 (4 GiB or 65535 arrays)
 */
export function encodeNpz(arrays: Iterable<readonly [name: string, array: NpyArray]>): Uint8Array {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  const names = new Set<string>()
  let at = 0
  for (const [name, { data, shape }] of arrays) {
    if (names.has(name))
      throw new TrecvitError(`An .npz cannot hold two arrays named ${quote(name)}`)
    names.add(name)
    const encoded = encodeText(`${name}.npy`)
    if (encoded.length > 0xffff)
      throw new TrecvitError(
        `The name of an array in an .npz has ${encoded.length} bytes, more than 65535`,
      )
    const contents = encodeNpy(data, shape)
    const record = new DataView(new ArrayBuffer(46 + encoded.length))
    record.setUint32(0, 0x02014b50, true)
    record.setUint16(4, 20, true)
    // Bytes 6 to 30 are equal to bytes 4 to 28 of the local header.
    record.setUint16(6, 20, true)
    record.setUint16(8, 0x800, true) // the name is UTF-8
    // 1 January 1980, the earliest date of zip. The clock is not used, so that the file is
    // reproducible.
    record.setUint16(14, 0x21, true)
    record.setUint32(16, crc32(contents), true)
    record.setUint32(20, contents.length, true)
    record.setUint32(24, contents.length, true)
    record.setUint16(28, encoded.length, true)
    record.setUint32(42, at, true)
    const central = new Uint8Array(record.buffer)
    central.set(encoded, 46)
    const local = new Uint8Array(30 + encoded.length)
    local.set([0x50, 0x4b, 3, 4])
    local.set(central.subarray(6, 30), 4)
    local.set(encoded, 30)
    parts.push(local, contents)
    directory.push(central)
    at += local.length + contents.length
  }
  const length = directory.reduce((sum, record) => sum + record.length, 0)
  if (directory.length >= 0xffff || at + length >= 0xffffffff) {
    throw new TrecvitError(
      `An .npz of ${directory.length} arrays and ${at + length} bytes is too large to be ` +
        'written: split it',
    )
  }
  const end = new DataView(new ArrayBuffer(22))
  end.setUint32(0, 0x06054b50, true)
  end.setUint16(8, directory.length, true)
  end.setUint16(10, directory.length, true)
  end.setUint32(12, length, true)
  end.setUint32(16, at, true)
  return concat([...parts, ...directory, new Uint8Array(end.buffer)])
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
