/** Arrays of .npz files: files of numpy, number formats, large arrays. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpy, encodeNpz } from '../src/checkpoint/npy.ts'
import {
  bytesOf,
  expectRefusal,
  expectSentence,
  good,
  makeNpy,
  makeZip,
  npyHeader,
  numbers,
  readAll,
  readTensor,
  sixBytes,
} from './checkpointFiles.ts'

const goldens = new URL('goldens/', import.meta.url)
const files = ['npz_formats', 'npz_formats_deflate', 'npz_formats_streamed', 'npz_formats_zip64']
const golden = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`${name}.npz`, goldens)))

describe('files written by numpy', () => {
  const expected = JSON.parse(readFileSync(new URL('npz_formats.json', goldens), 'utf8')) as Record<
    string,
    { dtype: string; shape: number[]; values_row_major: number[] | number }
  >
  const dtypes: Record<string, string> = {
    f2: 'f16',
    f4: 'f32',
    f8: 'f64',
    i4: 'i32',
    i8: 'i64',
    u1: 'u8',
    b1: 'bool',
  }

  test.each(files)('%s.npz: every array', async (file) => {
    const all = await readAll(golden(file))
    expect(Object.keys(expected)).toHaveLength(13)
    expect([...all.keys()].sort()).toEqual(Object.keys(expected).sort())
    for (const [name, { dtype, shape, values_row_major }] of Object.entries(expected)) {
      const array = all.get(name)!
      expect(array.dtype, name).toBe(dtypes[dtype.slice(1)])
      expect(array.shape, name).toEqual(shape)
      expect([...array.values], name).toEqual([values_row_major].flat(9).map(Math.fround))
    }
  })

  test.each(files)('%s.npz: cut anywhere, it is refused', async (file) => {
    const bytes = golden(file)
    for (let length = 1; length < bytes.length; length += 97)
      await expectRefusal(bytes.slice(0, length))
  })

  test.each(['npz_formats', 'npz_formats_deflate'])(
    '%s.npz with flipped bits: refused, or read as before',
    { tags: 'slow' },
    async (file) => {
      const bytes = golden(file)
      const before = await readAll(bytes)
      const flip = fc.nat(8 * bytes.length - 1)
      await fc.assert(
        fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 3 }), async (flips) => {
          const broken = bytes.slice()
          for (const bit of flips) broken[bit >> 3]! ^= 1 << (bit & 7)
          const after = await readAll(broken).catch((error: unknown) => error)
          if (after instanceof Map) expect(after).toEqual(before)
          else expectSentence(after)
        }),
        { numRuns: 300, seed: 1 },
      )
    },
  )
})

describe('number formats', () => {
  const values = [0, 1, 2, 100, 127]
  const set = (kind: string, view: DataView, i: number, value: number, little: boolean): void => {
    if (kind === 'i2') view.setInt16(2 * i, -value, little)
    else if (kind === 'u2') view.setUint16(2 * i, 65535 - value, little)
    else if (kind === 'i4') view.setInt32(4 * i, -16777217 * value, little)
    else if (kind === 'u4') view.setUint32(4 * i, 16777217 * value, little)
    else if (kind === 'f4') view.setFloat32(4 * i, value + 0.1, little)
    else if (kind === 'f8') view.setFloat64(8 * i, value + 0.1, little)
    else if (kind === 'i8') view.setBigInt64(8 * i, BigInt(-value), little)
    else if (kind === 'u8') view.setBigUint64(8 * i, BigInt(value), little)
    else if (kind === 'f2') view.setUint16(2 * i, 0x3c00 + value, little)
  }
  const result: Record<string, (value: number) => number> = {
    i2: (v) => -v,
    u2: (v) => 65535 - v,
    i4: (v) => -16777217 * v,
    u4: (v) => 16777217 * v,
    f4: (v) => v + 0.1,
    f8: (v) => v + 0.1,
    i8: (v) => -v,
    u8: (v) => v,
    f2: (v) => 1 + v / 1024,
  }

  test.each(Object.keys(result).flatMap((kind) => [`<${kind}`, `>${kind}`]))(
    '%s',
    async (descr) => {
      const kind = descr.slice(1)
      const contents = new Uint8Array(values.length * Number(kind[1]))
      values.forEach((value, i) =>
        set(kind, new DataView(contents.buffer), i, value, descr[0] === '<'),
      )
      const all = await readAll(
        makeZip([{ name: 'x.npy', contents: makeNpy(npyHeader(descr, '(5,)'), contents) }]),
      )
      expect([...all.get('x')!.values].map((v) => v + 0)).toEqual(
        values.map((v) => Math.fround(result[kind]!(v)) + 0),
      )
    },
  )

  test.each([
    ['|i1', [0, 1, 127, -128, -1]],
    ['|u1', [0, 1, 127, 128, 255]],
    ['|b1', [0, 1, 1, 1, 1]],
    ['?', [0, 1, 1, 1, 1]],
  ] as const)('%s', async (descr, expected) => {
    const contents = makeNpy(npyHeader(descr, '(5,)'), new Uint8Array([0, 1, 127, 128, 255]))
    expect([...(await readAll(makeZip([{ name: 'x.npy', contents }]))).get('x')!.values]).toEqual(
      expected,
    )
  })

  test('64-bit integers are rounded once', async () => {
    // Half-way between two float32 numbers, and one above and below. Converting to a double first
    // would lose the one.
    const half = 2n ** 60n + 2n ** 36n
    const integers = [
      half - 1n,
      half,
      half + 1n,
      3n * 2n ** 36n + 2n ** 60n,
      2n ** 63n - 1n,
      -half - 1n,
      -half,
      -(2n ** 63n),
      -1n,
      -(2n ** 32n),
      2n ** 53n + 1n,
    ]
    const expected = [
      2 ** 60,
      2 ** 60,
      2 ** 60 + 2 ** 37,
      2 ** 60 + 2 ** 38,
      2 ** 63,
      -(2 ** 60) - 2 ** 37,
      -(2 ** 60),
      -(2 ** 63),
      -1,
      -(2 ** 32),
      2 ** 53,
    ]
    const contents = makeNpy(
      npyHeader('<i8', `(${integers.length},)`),
      bytesOf(new BigInt64Array(integers)),
    )
    expect([...(await readAll(makeZip([{ name: 'x.npy', contents }]))).get('x')!.values]).toEqual(
      expected,
    )
    const unsigned = makeNpy(
      npyHeader('<u8', '(2,)'),
      bytesOf(new BigUint64Array([2n ** 64n - 1n, 2n ** 63n + 2n ** 39n + 1n])),
    )
    expect([
      ...(await readAll(makeZip([{ name: 'x.npy', contents: unsigned }]))).get('x')!.values,
    ]).toEqual([2 ** 64, 2 ** 63 + 2 ** 40])
  })

  test.each([1, 2, 3])('.npy version %i', async (version) => {
    const contents = makeNpy(npyHeader('<f4', '(3, 2)'), sixBytes, version)
    const all = await readAll(makeZip([{ name: 'x.npy', contents }]))
    expect(all.get('x')).toMatchObject({ shape: [3, 2], values: numbers })
  })

  test.each([
    `{"shape":(6L,),"fortran_order":False,"descr":"<f4"}`,
    `  { 'fortran_order' : False, 'descr':'<f4' , 'shape':( 6 , ) }  \n`,
  ])('the header %s', async (header) => {
    const all = await readAll(makeZip([{ name: 'x.npy', contents: makeNpy(header, sixBytes) }]))
    expect(all.get('x')).toMatchObject({ shape: [6], dtype: 'f32', values: numbers })
  })
})

describe('large arrays', () => {
  const count = 600_001
  const large = new Float32Array(count)
  for (let i = 0; i < count; i++) large[i] = i

  test.each([false, true])('come in chunks, deflated: %s', async (deflate) => {
    const all = await readAll(
      makeZip([good, { name: 'large.npy', contents: encodeNpy(large, [count]), deflate }]),
    )
    expect(all.get('large')!.values.every((value, i) => value === i)).toBe(true)
    expect(all.get('w')!.values).toEqual(numbers)
  })

  test.each([false, true])('in Fortran order come row-major, deflated: %s', async (deflate) => {
    // The stored value at (i, j, k) is i + 70·j + 70·90·k.
    const contents = makeNpy(
      npyHeader('<f4', '(70, 90, 95)', true),
      bytesOf(large.subarray(0, 70 * 90 * 95)),
    )
    const { values } = (await readAll(makeZip([{ name: 'f.npy', contents, deflate }]))).get('f')!
    let wrong = 0
    for (let i = 0, at = 0; i < 70; i++)
      for (let j = 0; j < 90; j++)
        for (let k = 0; k < 95; k++) if (values[at++] !== i + 70 * j + 6300 * k) wrong++
    expect(wrong).toBe(0)
  })

  test('a slow sink pauses the reader', async () => {
    const checkpoint = await openCheckpoint(encodeNpz([['large', { data: large, shape: [count] }]]))
    const seen: number[] = []
    await checkpoint.read('large', async (values) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      seen.push(values[0]!)
    })
    expect(seen).toEqual([0, 2 ** 18, 2 ** 19])
  })

  test('an aborted read ends at the next chunk', async () => {
    const checkpoint = await openCheckpoint(encodeNpz([['large', { data: large, shape: [count] }]]))
    const abort = new AbortController()
    let chunks = 0
    const reading = checkpoint.read(
      'large',
      () => {
        chunks++
        abort.abort()
      },
      abort.signal,
    )
    await expect(reading).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect(chunks).toBe(1)
  })

  test('concurrent reads do not share buffers', async () => {
    const other = large.map((value) => -value)
    const checkpoint = await openCheckpoint(
      encodeNpz([
        ['a', { data: large, shape: [count] }],
        ['b', { data: other, shape: [count] }],
      ]),
    )
    const [a, b, again] = await Promise.all([
      readTensor(checkpoint, 'a'),
      readTensor(checkpoint, 'b'),
      readTensor(checkpoint, 'a'),
    ])
    expect(a.every((value, i) => value === i)).toBe(true)
    expect(b.every((value, i) => value === -i)).toBe(true)
    expect(again.every((value, i) => value === i)).toBe(true)
  })
})
