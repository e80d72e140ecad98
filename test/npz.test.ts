import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpy, encodeNpz } from '../src/checkpoint/npy.ts'
import { openNpz } from '../src/checkpoint/npz.ts'
import {
  bytesOf,
  type Entry,
  expectRefusal,
  expectSentence,
  makeNpy,
  makeZip,
  npyHeader,
  readAll,
  readTensor,
  type ZipOptions,
} from './checkpointFiles.ts'

const goldens = new URL('goldens/', import.meta.url)
const files = ['npz_formats', 'npz_formats_deflate', 'npz_formats_streamed', 'npz_formats_zip64']
const golden = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`${name}.npz`, goldens)))
const numbers = new Float32Array([1, -2, 3.5, 4, 5, 6])
const sixBytes = bytesOf(numbers)
const good: Entry = { name: 'w.npy', contents: encodeNpy(numbers, [2, 3]) }

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
    // Half-way between two float32 numbers, and one above and below: a double in between would lose
    // the one.
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
    // Stored value at (i,j,k) is i + 70·j + 70·90·k.
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

  test('a slow sink holds the reader back', async () => {
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

  test('reads side by side do not share buffers', async () => {
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

describe('the zip around', () => {
  test.each([
    { zip64: true },
    { comment: `a comment with PK\x05\x06 inside, and ${'more '.repeat(20)}` },
    { zip64: true, comment: 'c' },
  ] satisfies ZipOptions[])('%o', async (options) => {
    const all = await readAll(
      makeZip(
        [
          good,
          { ...good, name: 'd.npy', deflate: true },
          { ...good, name: 'folder/', contents: new Uint8Array(0) },
        ],
        options,
      ),
    )
    expect([...all.keys()]).toEqual(['w', 'd'])
    expect(all.get('d')!.values).toEqual(numbers)
  })

  test('names that are properties of every object', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'a.npy', 'ünïcödé/☃']
    const all = await readAll(makeZip(names.map((name) => ({ ...good, name: `${name}.npy` }))))
    expect([...all.keys()]).toEqual(names)
    const checkpoint = await openCheckpoint(makeZip([good]))
    await expect(checkpoint.read('toString', () => {})).rejects.toThrow('has no array "toString"')
  })

  test('many entries, unaligned, in another order than the directory', async () => {
    const entries = Array.from({ length: 500 }, (_, i) => ({
      ...good,
      name: `${'x'.repeat(i % 7)}${i}.npy`,
      localExtra: i % 5,
      deflate: i % 3 === 0,
    }))
    const all = await readAll(makeZip(entries))
    expect(all.size).toBe(500)
    for (const { values } of all.values()) expect(values).toEqual(numbers)
  })

  test('a header that the first piece of an entry does not hold', async () => {
    const padded = `${npyHeader('<f4', '(6,)').trimEnd() + ' '.repeat(30_000)}\n`
    const noise =
      `{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }` +
      Array.from({ length: 60_000 }, (_, i) => ' \n\t '[((i * i * 7919) >> 3) & 3]).join('')
    for (const deflate of [false, true])
      for (const header of [padded, noise]) {
        const all = await readAll(
          makeZip([{ name: 'x.npy', contents: makeNpy(header, sixBytes), deflate }]),
        )
        expect(all.get('x')!.values).toEqual(numbers)
      }
  })
})

describe('refused, with the reason', () => {
  const array = (header: string, contents: Uint8Array = sixBytes, version = 1): Uint8Array =>
    makeZip([{ name: 'layer/w.npy', contents: makeNpy(header, contents, version) }])
  const bomb = encodeNpy(new Float32Array(200_000), [200_000])

  test.each<[string, Uint8Array, RegExp]>([
    ['an object array', array(npyHeader('|O', '(6,)')), /"layer\/w" .* Python objects .*"\|O"/],
    ['text', array(npyHeader('<U5', '(6,)')), /holds text/],
    ['bytes', array(npyHeader('|S5', '(6,)')), /holds text/],
    ['raw bytes', array(npyHeader('|V2', '(6,)')), /raw bytes/],
    [
      'a structure',
      array(`{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }`),
      /several fields/,
    ],
    ['complex numbers', array(npyHeader('<c8', '(3,)')), /complex/],
    ['dates', array(npyHeader('<M8[ns]', '(3,)')), /dtype "<M8\[ns\]"/],
    ['long doubles', array(npyHeader('<f16', '(1,)')), /dtype "<f16"/],
    [
      'a dtype named like a property',
      array(npyHeader('constructor', '(1,)')),
      /dtype "constructor"/,
    ],
    [
      'a shape too large for the data',
      array(npyHeader('<f4', '(7,)')),
      /does not fit its 24 bytes/,
    ],
    ['a shape too small for the data', array(npyHeader('<f4', '(5,)')), /does not fit/],
    [
      'a product that wraps round in 64 bits',
      array(npyHeader('<f4', '(4294967296, 4294967296, 6)')),
      /does not fit/,
    ],
    [
      'a product that a zero hides',
      array(npyHeader('<f4', '(4294967296, 4294967296, 0)'), new Uint8Array(0)),
      /does not fit/,
    ],
    ['a dimension of 400 digits', array(npyHeader('<f4', `(${'9'.repeat(400)},)`)), /does not fit/],
    [
      '65 dimensions',
      array(npyHeader('|u1', `(${'1,'.repeat(65)})`), new Uint8Array(1)),
      /does not fit/,
    ],
    ['a negative dimension', array(npyHeader('<f4', '(-6,)')), /damaged \.npy header/],
    ['a shape without numbers', array(npyHeader('<f4', '(,)')), /damaged \.npy header/],
    [
      'a key twice',
      array(`{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }`),
      /damaged \.npy header/,
    ],
    ['a key missing', array(`{'descr': '<f4', 'shape': (6,), }`), /damaged \.npy header/],
    [
      'a key too many',
      array(`{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': True}`),
      /damaged \.npy header/,
    ],
    [
      'an expression',
      array(`{'descr': '<f4', 'fortran_order': False, 'shape': (2*3,), }`),
      /damaged \.npy header/,
    ],
    ['a header that goes on', array(`${npyHeader('<f4', '(6,)')}{}`), /damaged \.npy header/],
    [
      'a huge header',
      array(`${npyHeader('<f4', '(6,)')}${' '.repeat(70_000)}`, sixBytes, 2),
      /damaged \.npy header/,
    ],
    [
      'a header longer than the entry',
      makeZip([
        { name: 'w.npy', contents: makeNpy(npyHeader('<f4', '(6,)'), sixBytes).slice(0, 40) },
      ]),
      /too few for a \.npy header/,
    ],
    ['.npy version 4', array(npyHeader('<f4', '(6,)'), sixBytes, 4), /not in \.npy format 1 to 3/],
    ['no .npy', makeZip([{ name: 'w.npy', contents: new Uint8Array(200) }]), /not in \.npy format/],
    ['no array', makeZip([]), /without any array/],
    ['nothing but a text', makeZip([{ name: 'readme.txt', contents: sixBytes }]), /"readme\.txt"/],
    ['a PyTorch file', makeZip([{ name: 'archive/data.pkl', contents: sixBytes }]), /PyTorch/],
    ['a name twice', makeZip([good, good]), /two entries named "w\.npy"/],
    [
      'a name that is not UTF-8',
      makeZip([good]).map((byte) => (byte === 'w'.charCodeAt(0) ? 0xff : byte)),
      /not UTF-8/,
    ],
    [
      'another name in the local header',
      makeZip([{ ...good, localName: 'v.npy' }]),
      /is not where the directory/,
    ],
    [
      'two names for the same bytes',
      makeZip([good, { ...good, name: 'x.npy', at: 0 }]),
      /overlaps/,
    ],
    [
      'data that runs into the next entry',
      makeZip([
        { ...good, localExtra: 40 },
        { ...good, name: 'x.npy', at: good.contents.length + 40 },
      ]),
      /overlaps/,
    ],
    ['an offset past the end', makeZip([{ ...good, at: 1e6 }]), /overlaps/],
    [
      'an offset into the middle',
      makeZip([
        { name: 'big.npy', contents: bomb },
        { ...good, at: 40_000 },
      ]),
      /overlaps|not where the directory/,
    ],
    ['encryption', makeZip([{ ...good, flags: 1 }]), /encrypted/],
    ['another compression', makeZip([{ ...good, method: 12 }]), /method 12/],
    ['a wrong checksum', makeZip([{ ...good, crc: 1 }]), /does not match its checksum/],
    [
      'a wrong checksum, deflated',
      makeZip([{ ...good, deflate: true, crc: 1 }]),
      /does not match its checksum/,
    ],
    ['stored sizes that differ', makeZip([{ ...good, size: 1000 }]), /cannot hold 1000 bytes/],
    [
      'more than deflate can hold',
      makeZip([{ ...good, deflate: true, size: 1e9 }]),
      /cannot hold 1000000000 bytes/,
    ],
    [
      'data that inflates to more',
      makeZip([
        {
          name: 'b.npy',
          contents: makeNpy(npyHeader('<f4', '(6,)'), bomb),
          deflate: true,
          size: makeNpy(npyHeader('<f4', '(6,)'), sixBytes).length,
        },
      ]),
      /inflates to more bytes/,
    ],
    [
      'data that inflates to less',
      makeZip([
        {
          name: 'b.npy',
          contents: makeNpy(npyHeader('<f4', '(900,)'), sixBytes),
          deflate: true,
          size: makeNpy(npyHeader('<f4', '(900,)'), sixBytes).length + 3576,
        },
      ]),
      /inflates to fewer bytes/,
    ],
    [
      'deflated data cut short',
      makeZip([
        {
          name: 'b.npy',
          contents: encodeNpy(
            Float32Array.from({ length: 4000 }, (_, i) => Math.sqrt(i)),
            [4000],
          ),
          deflate: true,
          packed: 4000,
        },
      ]),
      /cannot be inflated|fewer bytes/,
    ],
    [
      'a deflated entry that is not',
      makeZip([{ ...good, contents: good.contents.map((byte) => byte ^ 0xff), method: 8 }]),
      /cannot be inflated|fewer bytes/,
    ],
    ['too many entries', makeZip([good], { zip64: true, count: 1e9 }), /more than the 100000/],
    [
      'a huge directory',
      makeZip([good], { zip64: true, directoryBytes: 2 ** 52 }),
      /zip directory of .* is damaged/,
    ],
    [
      'a directory longer than the file',
      makeZip([good], { directoryBytes: 5000 }),
      /zip directory of .* is damaged/,
    ],
    ['more entries than there are', makeZip([good], { count: 2 }), /directory of .* damaged/],
    [
      'fewer entries than there are',
      makeZip([good, { ...good, name: 'x.npy' }], { count: 1 }),
      /directory of .* damaged/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expectRefusal(bytes, message)
  })

  test('after the first fault, the rest of the file is left alone', async () => {
    const bytes = makeZip(
      Array.from({ length: 100 }, (_, i) => ({
        name: `${i}.npy`,
        contents: i === 0 ? new Uint8Array(20_000) : encodeNpy(new Float32Array(5000), [5000]),
      })),
    )
    let reads = 0
    const read = async (offset: number, into: Uint8Array): Promise<void> => {
      reads++
      into.set(bytes.subarray(offset, offset + into.length))
    }
    await expect(
      openNpz({ name: 'a', size: bytes.length, read, close: async () => {} }),
    ).rejects.toThrow('not in .npy format')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(reads).toBeLessThan(20)
  })

  test('a hostile name cannot write to the terminal', async () => {
    await expectRefusal(
      makeZip([{ name: `\x1b[2J\x9b31m\u202e${'x'.repeat(5000)}`, contents: sixBytes }]),
      /"\\u001b\[2J\\u009b31m\\u202ex+…"/,
    )
    await expectRefusal(
      makeZip([{ name: 'a.npy', contents: makeNpy(npyHeader('>f\x9b\x85', '(6,)'), sixBytes) }]),
      /dtype ">f\\u009b\\u0085"/,
    )
  })

  test('a message is no longer than a few lines, however a name is escaped', async () => {
    const name = '\0'.repeat(300)
    await expectRefusal(makeZip([{ name: `${name}.txt`, contents: sixBytes }]), /^.{100,300}$/)
    await expectRefusal(makeZip([{ name: `${name}.npy`, contents: sixBytes }]), /^.{100,300}$/)
  })
})

describe('writing', () => {
  test('a .npy as numpy writes it', () => {
    const fields = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    const header = `${fields.padEnd(128 - 10 - 1)}\n`
    expect(encodeNpy(numbers, [2, 3])).toEqual(makeNpy(header, sixBytes))
    expect(new TextDecoder().decode(encodeNpy(new Uint8Array(7), [7]).slice(10, 70))).toBe(
      `{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }   `,
    )
    expect(encodeNpy(numbers.subarray(0, 1), []).length).toBe(128 + 4)
  })

  test('an .npz that comes back', async () => {
    const bytes = encodeNpz(
      new Map([
        ['a b/☃', { data: numbers, shape: [3, 2] }],
        ['u', { data: new Uint8Array([7, 8]), shape: [1, 2] }],
        ['none', { data: new Float32Array(0), shape: [0, 4] }],
      ]),
    )
    const all = await readAll(bytes)
    expect(
      [...all].map(([name, { shape, dtype, values }]) => [name, shape, dtype, [...values]]),
    ).toEqual([
      ['a b/☃', [3, 2], 'f32', [...numbers]],
      ['u', [1, 2], 'u8', [7, 8]],
      ['none', [0, 4], 'f32', []],
    ])
  })

  test('what does not fit is refused', () => {
    expect(() => encodeNpy(numbers, [2, 2])).toThrow(
      'An array of 6 values cannot be written as shape [2, 2]',
    )
    expect(() => encodeNpy(numbers, [-6])).toThrow('shape [-6]')
    expect(() =>
      encodeNpz([
        ['a', { data: numbers, shape: [6] }],
        ['a', { data: numbers, shape: [6] }],
      ]),
    ).toThrow('two arrays named "a"')
  })
})
