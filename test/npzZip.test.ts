/** The zip of an .npz file: valid variants, and the output of the writer. */
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpy, encodeNpz } from '../src/checkpoint/npy.ts'
import {
  good,
  makeNpy,
  makeZip,
  npyHeader,
  numbers,
  readAll,
  sixBytes,
  type ZipOptions,
} from './checkpointFiles.ts'

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

  test('many entries, unaligned, in another order than the directory', {
    tags: 'slow',
  }, async () => {
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

  test('an .npz that is read again', async () => {
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

  test('values that do not fit are refused', () => {
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
