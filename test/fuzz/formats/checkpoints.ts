/** npz, npy and safetensors, read as checkpoints. */
import { deflateRawSync } from 'node:zlib'
import { crc32 } from '../../../src/base/crc32.ts'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import type { SourceLike } from '../../../src/checkpoint/openSource.ts'
import type { Format } from '../format.ts'
import {
  bytes,
  type Group,
  group,
  json,
  latin,
  number,
  type Part,
  text,
  type Written,
} from '../parts.ts'
import type { Random } from '../random.ts'
import { sourceOf } from '../sources.ts'

/** Reads each tensor to its end. */
async function open({ data }: Written, random: Random): Promise<void> {
  const checkpoint = await openCheckpoint((await sourceOf(data, random, 'files')) as SourceLike)
  try {
    for (const name of checkpoint.tensors.keys()) await checkpoint.read(name, () => {})
  } finally {
    await checkpoint.close()
  }
}

const u16 = (value: number) => number(2, 'little', value)
const u32 = (value: number) => number(4, 'little', value)

function npy(
  descr: string,
  shape: string,
  fortran: boolean,
  content: Uint8Array,
  version = 1,
): Group {
  const header = text(
    `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${shape}, }\n`,
  )
  const length = number(version === 1 ? 2 : 4, 'little', (places) => places.size(header))
  return group('npy', [
    latin('\x93NUMPY'),
    number(1, 'little', version),
    number(1, 'little', 0),
    length,
    header,
    bytes(content),
  ])
}

const arrays: readonly (() => Group)[] = [
  () => npy('<f4', '(2, 3)', false, new Uint8Array(24)),
  () => npy('>f8', '(2, 3, 4)', true, new Uint8Array(192), 2),
  () => npy('<i8', '(5,)', false, new Uint8Array(40)),
  () => npy('|b1', '()', false, new Uint8Array(1), 3),
  () => npy('<f2', '(0, 7)', false, new Uint8Array(0)),
]

/** Returns an entry: its data in the file, and its record in the directory. */
function entry(
  name: string,
  content: Group,
  deflate: boolean,
  zip64: boolean,
): { local: Group; central: Group } {
  const body = group(
    'contents',
    [content],
    deflate ? (raw) => new Uint8Array(deflateRawSync(raw)) : undefined,
  )
  const packed = (width: number) => number(width, 'little', (places) => places.size(body))
  const size = (width: number) => number(width, 'little', (places) => places.content(body).length)
  const crc = () => number(4, 'little', (places) => crc32(places.content(body)), true)
  const method = u16(deflate ? 8 : 0)
  const title = () => text(name)
  const lengths = (name: Part, extra: Part) => [
    number(2, 'little', (places) => places.size(name)),
    number(2, 'little', (places) => places.size(extra)),
  ]
  const [localName, localExtra] = [title(), group('extra', [])]
  const local = group('local', [
    u32(0x04034b50),
    u16(20),
    u16(0x800),
    { ...method },
    u16(0),
    u16(0x21),
    crc(),
    packed(4),
    size(4),
    ...lengths(localName, localExtra),
    localName,
    localExtra,
    body,
  ])
  const at = (width: number) => number(width, 'little', (places) => places.offset(local))
  const wide = group(
    'extra',
    zip64 ? [u16(0x5455), u16(2), u16(0), u16(1), u16(24), size(8), packed(8), at(8)] : [],
  )
  const centralName = title()
  const small = (part: Part) => (zip64 ? u32(0xffffffff) : part)
  const central = group('central', [
    u32(0x02014b50),
    u16(20),
    u16(20),
    u16(0x800),
    { ...method },
    u16(0),
    u16(0x21),
    crc(),
    small(packed(4)),
    small(size(4)),
    ...lengths(centralName, wide),
    u16(0),
    u16(0),
    u16(0),
    u32(0),
    small(at(4)),
    centralName,
    wide,
  ])
  return { local, central }
}

function zip(deflate: boolean, zip64: boolean): Group {
  const entries = arrays.map((array, i) => entry(`block/array${i}.npy`, array(), deflate, zip64))
  const locals = group(
    'locals',
    entries.map(({ local }) => local),
  )
  const directory = group(
    'directory',
    entries.map(({ central }) => central),
  )
  const size = (width: number) => number(width, 'little', (places) => places.size(directory))
  const at = (width: number) => number(width, 'little', (places) => places.offset(directory))
  const count = (width: number) => number(width, 'little', () => directory.parts.length)
  const end64 = group('end64', [
    u32(0x06064b50),
    number(8, 'little', 44),
    u16(45),
    u16(45),
    u32(0),
    u32(0),
    count(8),
    count(8),
    size(8),
    at(8),
  ])
  const locator = group('locator', [
    u32(0x07064b50),
    u32(0),
    number(8, 'little', (places) => places.offset(end64)),
    u32(1),
  ])
  const comment = text('a comment')
  const end = group('end', [
    u32(0x06054b50),
    u16(0),
    u16(0),
    count(2),
    count(2),
    zip64 ? u32(0xffffffff) : size(4),
    zip64 ? u32(0xffffffff) : at(4),
    number(2, 'little', (places) => places.size(comment)),
    comment,
  ])
  return group('file', zip64 ? [locals, directory, end64, locator, end] : [locals, directory, end])
}

export const npz: Format = {
  name: 'npz',
  open,
  seeds: [() => zip(false, false), () => zip(true, false), () => zip(true, true)],
}

/** One array with a matching directory, so that mutations reach the header of the array. */
export const npyInZip: Format = {
  name: 'npy',
  open,
  seeds: arrays.map((array) => () => {
    const { local, central } = entry('array.npy', array(), false, false)
    const directory = group('directory', [central])
    const end = group('end', [
      u32(0x06054b50),
      u16(0),
      u16(0),
      u16(1),
      u16(1),
      number(4, 'little', (places) => places.size(directory)),
      number(4, 'little', (places) => places.offset(directory)),
      u16(0),
    ])
    return group('file', [local, directory, end])
  }),
}

function tensors(header: unknown, size: number): Group {
  const lead = json(header)
  return group('file', [
    number(8, 'little', (places) => places.size(lead)),
    lead,
    bytes(new Uint8Array(size)),
  ])
}

export const safetensors: Format = {
  name: 'safetensors',
  open,
  seeds: [
    () =>
      tensors(
        {
          __metadata__: { format: 'pt', note: 'é' },
          a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
          b: { dtype: 'BF16', shape: [4], data_offsets: [24, 32] },
          c: { dtype: 'I64', shape: [], data_offsets: [32, 40] },
          d: { dtype: 'BOOL', shape: [3, 0], data_offsets: [40, 40] },
        },
        40,
      ),
    () => tensors({ a: { dtype: 'F64', shape: [1], data_offsets: [0, 8] } }, 8),
  ],
}
