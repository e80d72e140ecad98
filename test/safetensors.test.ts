import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpz } from '../src/checkpoint/npy.ts'
import type { Sink } from '../src/checkpoint/values.ts'
import { type TensorSource, writeSafetensors } from '../src/checkpoint/writeSafetensors.ts'
import {
  bytesOf,
  expectRefusal,
  expectSentence,
  makeSafetensors,
  readAll,
} from './checkpointFiles.ts'

const six = new Float32Array([1, -2, 3.5, 4, 5, 6])
const F32 = (from: number, to: number, shape: readonly unknown[] = [(to - from) / 4]): object => ({
  dtype: 'F32',
  shape,
  data_offsets: [from, to],
})

function tensor(
  name: string,
  values: readonly number[],
  dtype: 'f32' | 'f16' = 'f32',
  shape: readonly number[] = [values.length],
): TensorSource {
  return { name, shape, dtype, values: async (sink) => sink(new Float32Array(values), 0) }
}

async function written(
  tensors: readonly TensorSource[],
  metadata: Record<string, string> = {},
): Promise<Uint8Array> {
  const parts: Buffer[] = []
  await writeSafetensors(tensors, metadata, async (bytes) => {
    parts.push(Buffer.from(bytes.slice()))
  })
  return new Uint8Array(Buffer.concat(parts))
}

async function expectRefused(tensors: readonly TensorSource[], message: RegExp): Promise<void> {
  const error = await written(tensors).catch((error: unknown) => error)
  expectSentence(error)
  expect((error as Error).message).toMatch(message)
}

describe('reading', () => {
  const stored: readonly [
    format: string,
    dtype: string,
    contents: ArrayBufferView,
    values: readonly number[],
  ][] = [
    ['BOOL', 'bool', new Uint8Array([0, 1, 2]), [0, 1, 1]],
    ['U8', 'u8', new Uint8Array([0, 128, 255]), [0, 128, 255]],
    ['I8', 'i8', new Int8Array([0, -128, 127]), [0, -128, 127]],
    ['U16', 'u16', new Uint16Array([0, 65535, 3]), [0, 65535, 3]],
    ['I16', 'i16', new Int16Array([0, -32768, 3]), [0, -32768, 3]],
    ['F16', 'f16', new Uint16Array([0x3c00, 0xfbff, 1]), [1, -65504, 2 ** -24]],
    ['BF16', 'bf16', new Uint16Array([0x3f80, 0xc049, 0x7f80]), [1, -3.140625, Infinity]],
    ['U32', 'u32', new Uint32Array([0, 4294967295, 16777217]), [0, 4294967296, 16777216]],
    ['I32', 'i32', new Int32Array([0, -2147483648, 16777219]), [0, -2147483648, 16777220]],
    ['F32', 'f32', new Float32Array([0.1, -3e38, 1e-45]), [0.1, -3e38, 1e-45].map(Math.fround)],
    ['U64', 'u64', new BigUint64Array([0n, 2n ** 64n - 1n, 5n]), [0, 2 ** 64, 5]],
    ['I64', 'i64', new BigInt64Array([-(2n ** 63n), -5n, 7n]), [-(2 ** 63), -5, 7]],
    ['F64', 'f64', new Float64Array([0.1, 1e300, -1e-300]), [Math.fround(0.1), Infinity, -0]],
  ]

  test('all number formats, unaligned, with metadata', async () => {
    const header: Record<string, unknown> = {
      __metadata__: { format: 'pt', __proto__x: 'y', empty: '' },
    }
    let at = 0
    for (const [format, , contents] of stored) {
      header[format.toLowerCase()] = {
        data_offsets: [at, at + contents.byteLength],
        shape: [3, 1],
        dtype: format,
      }
      at += contents.byteLength
    }
    const bytes = makeSafetensors(
      header,
      new Uint8Array(Buffer.concat(stored.map(([, , contents]) => bytesOf(contents)))),
    )
    const all = await readAll(bytes)
    expect([...all.keys()]).toEqual(stored.map(([, dtype]) => dtype))
    for (const [, dtype, , values] of stored)
      expect(all.get(dtype), dtype).toEqual({
        shape: [3, 1],
        dtype,
        values: new Float32Array(values),
      })
    const checkpoint = await openCheckpoint(bytes)
    expect(checkpoint.format).toBe('safetensors')
    expect({ ...checkpoint.metadata }).toEqual({ format: 'pt', __proto__x: 'y', empty: '' })
    await expect(checkpoint.read('toString', () => {})).rejects.toThrow('has no tensor "toString"')
  })

  test('tensors out of order, empty ones, scalars, escapes, spaces after the header', async () => {
    const header = `{ "b\\u0041\\n" : {"shape":[ ], "dtype":"F32", "data_offsets":[4 ,8]},
      "__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
      "z":{"dtype":"F64","shape":[3,0,5],"data_offsets":[8,8]},
      "y":{"dtype":"F64","shape":[0],"data_offsets":[8,8]},
      "":{"dtype":"U8","shape":[2],"data_offsets":[8,10]} }     `
    const all = await readAll(makeSafetensors(header, bytesOf(six).slice(0, 10)))
    expect([...all].map(([name, { shape, values }]) => [name, shape, ...values])).toEqual([
      ['__proto__', [1], 1],
      ['bA\n', [], -2],
      ['z', [3, 0, 5]],
      ['y', [0]],
      ['', [2], 0, 0],
    ])
  })

  test('names of metadata that are properties of every object', async () => {
    const { metadata } = await openCheckpoint(
      makeSafetensors(`{"__metadata__":{"__proto__":"a","constructor":"b"}}`),
    )
    expect(Object.entries(metadata)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
    expect(Object.getPrototypeOf(metadata)).toBe(null)
  })

  test('a large tensor in chunks', { tags: 'slow' }, async () => {
    const large = Float32Array.from({ length: 600_001 }, (_, i) => i)
    const all = await readAll(makeSafetensors({ x: F32(0, large.byteLength) }, bytesOf(large)))
    expect(all.get('x')!.values.every((value, i) => value === i)).toBe(true)
  })
})

describe('refused, with the reason', () => {
  const data = bytesOf(six)
  const entry = '"dtype":"F32","shape":[6],"data_offsets":[0,24]'
  const empty = '"dtype":"U8","shape":[0],"data_offsets":[0,0]'

  test.each<[string, unknown, RegExp]>([
    [
      'a hole',
      { a: F32(0, 8), b: F32(12, 24) },
      /"b" .* begins at byte \d+, but the one before it ends at \d+/,
    ],
    ['an overlap', { a: F32(0, 16), b: F32(8, 24) }, /"b" .* begins at byte/],
    ['the same bytes twice', { a: F32(0, 24), b: F32(0, 24) }, /"b" .* begins at byte/],
    ['a first tensor that does not begin at 0', { a: F32(4, 24) }, /begins at byte/],
    ['bytes left over', { a: F32(0, 20) }, /tensors end at byte/],
    ['no tensor, but bytes', {}, /tensors end at byte/],
    ['offsets past the end', { a: F32(0, 28) }, /tensors end at byte/],
    ['offsets the wrong way round', { a: F32(24, 0, [6]) }, /does not fit/],
    ['an empty tensor elsewhere', { a: F32(0, 24), z: F32(400, 400, [0]) }, /begins at byte/],
    ['a shape larger than the offsets', { a: F32(0, 24, [7]) }, /does not fit/],
    ['a shape smaller than the offsets', { a: F32(0, 24, [2, 2]) }, /does not fit/],
    [
      'a product that wraps round in 64 bits',
      { a: F32(0, 24, [4294967296, 4294967296, 6]) },
      /does not fit/,
    ],
    [
      'a product that wraps round with its item',
      { a: F32(0, 24, [2 ** 52, 1024]) },
      /does not fit/,
    ],
    ['a product that a zero hides', { a: F32(0, 0, [2 ** 50, 2 ** 50, 0]) }, /does not fit/],
    ['a negative dimension', { a: F32(0, 24, [-6]) }, /integer/],
    ['a broken dimension', { a: F32(0, 24, [6.5]) }, /lacks a "\]"/],
    [
      'a dimension past 2^53',
      `{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,24]}}`,
      /integer/,
    ],
    [
      'a dimension with a leading zero',
      `{"a":{"dtype":"F32","shape":[06],"data_offsets":[0,24]}}`,
      /integer/,
    ],
    [
      'a dimension in exponent form',
      `{"a":{"dtype":"F32","shape":[6e0],"data_offsets":[0,24]}}`,
      /lacks a "\]"/,
    ],
    ['65 dimensions', { a: F32(0, 24, [6, ...Array<number>(64).fill(1)]) }, /more than 64 numbers/],
    [
      'three offsets',
      { a: { dtype: 'F32', shape: [6], data_offsets: [0, 24, 24] } },
      /more than 2 numbers/,
    ],
    [
      'one offset',
      { a: { dtype: 'F32', shape: [6], data_offsets: [24] } },
      /lacks dtype, shape or data_offsets/,
    ],
    [
      'an unknown format',
      { a: { dtype: 'F8_E4M3', shape: [24], data_offsets: [0, 24] } },
      /"a" .* dtype "F8_E4M3"/,
    ],
    [
      'a format named like a property',
      { a: { dtype: 'constructor', shape: [24], data_offsets: [0, 24] } },
      /dtype "constructor"/,
    ],
    ['a missing key', { a: { dtype: 'F32', shape: [6] } }, /lacks dtype, shape or data_offsets/],
    ['an unknown key', { a: { ...F32(0, 24), more: 1 } }, /unknown or repeated key "more"/],
    ['a name twice', `{"a":{${entry}},"a":{${entry}}}`, /repeats tensor "a"/],
    ['a name twice, once escaped', `{"a":{${entry}},"\\u0061":{${entry}}}`, /repeats tensor "a"/],
    ['a key twice', `{"a":{${entry},"dtype":"F32"}}`, /repeated key "dtype"/],
    ['metadata twice', `{"__metadata__":{},"__metadata__":{}}`, /repeats "__metadata__"/],
    ['a metadata key twice', `{"__metadata__":{"k":"1","k":"2"}}`, /repeats the metadata key "k"/],
    ['metadata that is not text', { __metadata__: { k: 1 } }, /lacks a "\\""/],
    ['metadata that is a list', { __metadata__: [] }, /lacks a "\{"/],
    ['an unfinished header', `{"a":{${entry}}`, /lacks a "\}"/],
    ['an unfinished string', `{"a`, /ends inside a string/],
    ['a raw control character in a string', `{"a\n":{${entry}}}`, /damaged string/],
    ['something behind the header', `{"a":{${entry}}} x`, /goes on after its end/],
    ['a trailing comma', `{"a":{${entry}},}`, /lacks a "\\""/],
    ['depth', `{"a":${'['.repeat(100_000)}`, /lacks a "\{"/],
    [
      'too many tensors',
      `{${Array.from({ length: 100_001 }, (_, i) => `"${i}":{${empty}}`).join(',')}}`,
      /more than 100000 tensors/,
    ],
  ])('%s', async (_, header, message) => {
    await expectRefusal(makeSafetensors(header, data), message)
  })

  test('a header that is not UTF-8', async () => {
    await expectRefusal(
      makeSafetensors({ a: F32(0, 24) }, data).map((byte) =>
        byte === 'a'.charCodeAt(0) ? 0xff : byte,
      ),
      /not UTF-8/,
    )
  })

  test.each([1000, 2 ** 32, 2 ** 53 - 1, 99_999_999, 100_000_001])(
    'a header declared to have %i bytes',
    async (length) => {
      await expectRefusal(
        makeSafetensors({ a: F32(0, 24) }, data, length),
        /says that its header has \d+ bytes/,
      )
    },
  )

  test('a header shorter or longer than declared', async () => {
    const length = JSON.stringify({ a: F32(0, 24) }).length
    for (let declared = 0; declared < length + 24; declared++)
      if (declared !== length)
        await expectRefusal(makeSafetensors({ a: F32(0, 24) }, data, declared))
  })

  const sample = makeSafetensors(
    { __metadata__: { a: 'b' }, one: F32(0, 8), two: F32(8, 24) },
    data,
  )

  test('a file cut anywhere', async () => {
    const large = await written([tensor('a', Array<number>(900).fill(2)), tensor('b', [1, 2, 3])])
    for (let length = 1; length < large.length; length += 97)
      await expectRefusal(large.slice(0, length))
    for (let length = 1; length < sample.length; length++)
      await expectRefusal(sample.slice(0, length))
  })

  test('flipped bits and random headers are read or refused with one sentence', {
    tags: 'slow',
  }, async () => {
    const flip = fc.nat(8 * sample.length - 1)
    await fc.assert(
      fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 5 }), async (flips) => {
        const broken = sample.slice()
        for (const bit of flips) broken[bit >> 3]! ^= 1 << (bit & 7)
        await readAll(broken).catch(expectSentence)
      }),
      { numRuns: 2000, seed: 1 },
    )
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '"a"',
      '"dtype"',
      '"F32"',
      '"shape"',
      '"data_offsets"',
      '0',
      '6',
      '24',
      ' ',
      '\\',
      '-',
      'null',
      '"__metadata__"',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        await readAll(makeSafetensors(`{${pieces.join('')}`, data)).catch(expectSentence)
      }),
      { numRuns: 2000, seed: 1 },
    )
  })
})

describe('writing', () => {
  test('the bytes, float32 before float16, the header padded', async () => {
    const bytes = await written(
      [tensor('half', [1, -2, 65504], 'f16', [3, 1]), tensor('full', [0.1, NaN])],
      { made: 'by "us"' },
    )
    const length = new DataView(bytes.buffer).getUint32(0, true)
    expect(length % 8).toBe(0)
    expect(JSON.parse(new TextDecoder().decode(bytes.slice(8, 8 + length)))).toEqual({
      __metadata__: { made: 'by "us"' },
      full: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      half: { dtype: 'F16', shape: [3, 1], data_offsets: [8, 14] },
    })
    expect(new TextDecoder().decode(bytes.slice(8, 8 + length))).toMatch(
      /^\{"__metadata__".*\}\} {0,7}$/,
    )
    expect([...bytes.slice(8 + length)]).toEqual([
      ...bytesOf(new Float32Array([0.1, NaN])),
      ...bytesOf(new Uint16Array([0x3c00, 0xc000, 0x7bff])),
    ])
  })

  test('the header is padded whatever its length', async () => {
    for (let n = 0; n < 9; n++) {
      const bytes = await written([tensor('w', [1, 2])], { k: 'x'.repeat(n) })
      expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0)
      expect([...(await readAll(bytes)).get('w')!.values]).toEqual([1, 2])
    }
  })

  test('a converted checkpoint can be read again', { tags: 'slow' }, async () => {
    const count = 600_001
    const large = Float32Array.from({ length: count }, (_, i) => (i % 2049) / 2)
    const from = await openCheckpoint(
      encodeNpz([
        ['a/b c', { data: large, shape: [1, count] }],
        ['none', { data: six.subarray(0, 0), shape: [0, 2] }],
        ['__proto__', { data: six, shape: [6] }],
      ]),
    )
    for (const dtype of ['f32', 'f16'] as const) {
      const bytes = await written(
        Array.from(from.tensors.values(), ({ name, shape }) => ({
          name,
          shape,
          dtype,
          values: (sink: Sink) => from.read(name, sink),
        })),
      )
      expect(bytes.length).toBeLessThan((count + 6) * (dtype === 'f32' ? 4 : 2) + 400)
      const all = await readAll(bytes)
      expect([...all].map(([name, { shape, dtype }]) => [name, shape, dtype])).toEqual([
        ['a/b c', [1, count], dtype],
        ['none', [0, 2], dtype],
        ['__proto__', [6], dtype],
      ])
      expect(all.get('a/b c')!.values.every((value, i) => value === large[i])).toBe(true)
      expect(all.get('__proto__')!.values).toEqual(six)
    }
  })

  test('more values in one call than a chunk has', { tags: 'slow' }, async () => {
    const large = Array.from({ length: 300_000 }, (_, i) => i % 2000)
    expect([
      ...(await readAll(await written([tensor('x', large, 'f16')]))).get('x')!.values,
    ]).toEqual(large)
  })

  test.each<[string, readonly TensorSource[], RegExp]>([
    [
      'float16 overflow',
      [tensor('w', [1, 2, -65520], 'f16')],
      /^Value 2 of tensor "w" is -65520, past the largest float16/,
    ],
    ['a repeated name', [tensor('w', [1]), tensor('w', [1])], /Two tensors are named "w"/],
    ['a reserved name', [tensor('__metadata__', [1])], /cannot be named/],
    ['no shape', [tensor('w', [1], 'f32', [-1])], /cannot have shape \[-1\]/],
    ['too few values', [tensor('w', [1], 'f32', [2])], /was given 1 values, but shape \[2\] has 2/],
    [
      'too many values',
      [tensor('w', [1, 2], 'f32', [1])],
      /was given 2 values, but shape \[1\] has 1/,
    ],
    [
      'values out of order',
      [{ ...tensor('w', [1, 2]), values: async (sink) => sink(new Float32Array(1), 1) }],
      /was given value 1 when value 0 was next/,
    ],
  ])('%s is refused', (_, tensors, message) => expectRefused(tensors, message))

  test('a huge header is refused', { tags: 'slow' }, () =>
    expectRefused([tensor('w'.repeat(100_000_001), [1])], /header of 1000000\d\d bytes/),
  )

  test('infinities and NaN are no overflow', async () => {
    expect([
      ...(await readAll(await written([tensor('w', [Infinity, -Infinity, NaN], 'f16')]))).get('w')!
        .values,
    ]).toEqual([Infinity, -Infinity, NaN])
  })
})
