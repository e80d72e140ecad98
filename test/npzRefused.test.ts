/** Invalid .npz files and the error of each. */
import { describe, expect, test } from 'vitest'
import { encodeNpy } from '../src/checkpoint/npy.ts'
import { openNpz } from '../src/checkpoint/npz.ts'
import { expectRefusal, good, makeNpy, makeZip, npyHeader, sixBytes } from './checkpointFiles.ts'

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

  test('control characters in names are escaped', async () => {
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
