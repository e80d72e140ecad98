/** Entries beside the weights, prefixes of trainers, and label files. */
import { beforeAll, describe, expect, test } from 'vitest'
import { encodeNpy } from '../src/checkpoint/npy.ts'
import { openCheckpoint, TRecViT, TrecvitError } from '../src/index.ts'
import { configOf } from '../src/model/config.ts'
import { parseLabels } from '../src/model/labels.ts'
import { parametersOf } from '../src/model/weights.ts'
import {
  type Entry,
  makeNpy,
  makeSafetensors,
  makeZip,
  npyHeader,
  readTensor,
} from './checkpointFiles.ts'

/** Tensors of a model that is small enough to write in every test. */
const tensors = parametersOf(
  configOf('mu', {
    width: 8,
    mlpDim: 16,
    numClasses: 3,
    repSize: 4,
    lruWidth: 16,
    imageSize: [16, 16],
    patchSize: [8, 8],
  }),
).map(({ name, shape }, seed) => {
  const size = shape.reduce((product, side) => product * side, 1)
  return { name, shape, data: Float32Array.from({ length: size }, (_, i) => Math.sin(seed + i)) }
})

function npz(extras: readonly Entry[] = [], rename = (name: string): string => name): Uint8Array {
  const entries = tensors.map(({ name, shape, data }) => ({
    name: `${rename(name)}.npy`,
    contents: encodeNpy(data, shape),
  }))
  return makeZip([...entries, ...extras])
}

/** Returns the same model with further tensors: number format, shape, bytes. */
function safetensors(
  extras: Readonly<Record<string, readonly [string, number[], number]>> = {},
  prefix = '',
): Uint8Array {
  const header: Record<string, object> = {}
  const parts: Buffer[] = []
  let at = 0
  const add = (name: string, dtype: string, shape: readonly number[], bytes: Buffer): void => {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    parts.push(bytes)
    at += bytes.length
  }
  for (const { name, shape, data } of tensors)
    add(prefix + name, 'F32', shape, Buffer.from(data.buffer))
  for (const [name, [dtype, shape, size]] of Object.entries(extras))
    add(name, dtype, shape, Buffer.alloc(size))
  return makeSafetensors(header, Buffer.concat(parts))
}

async function load(
  bytes: Uint8Array,
): Promise<{ fingerprint: string; warnings: readonly string[] }> {
  await using model = await TRecViT.load(bytes, { device: 'wasm', threads: 1 })
  return { fingerprint: model.fingerprint, warnings: model.warnings }
}

async function errorOf(bytes: Uint8Array): Promise<string> {
  const error: unknown = await load(bytes).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TrecvitError)
  return (error as Error).message
}

const ignored = (names: readonly string[], more = ''): string =>
  'Uint8Array has entries outside the model, which are ignored: ' +
  `${names.map((name) => `"${name}"`).join(', ')}${more}`
const array = (name: string, descr: string, shape: string, bytes: number): Entry => ({
  name: `${name}.npy`,
  contents: makeNpy(npyHeader(descr, shape), new Uint8Array(bytes)),
})
const pickle = array('extra', '|O', '()', 0)
/** A pickle that would run code: cos, system, ... */
const evil: Entry = {
  ...pickle,
  contents: Buffer.concat([pickle.contents, Buffer.from("cos\nsystem\n(S'exit 1'\ntR.")]),
}

describe('beside the weights of an .npz', () => {
  /** Fingerprint of the model without other entries. */
  let plain: Promise<string>
  beforeAll(() => void (plain = load(npz()).then(({ fingerprint }) => fingerprint)))

  test.each<[string, Entry, string]>([
    ['a number', array('step', '<i8', '()', 8), 'step'],
    ['text, as labels are', array('labels', '<U8', '(3,)', 96), 'labels'],
    ['bytes', array('names', '|S5', '(3,)', 15), 'names'],
    ['a date', array('saved', '<M8[s]', '()', 8), 'saved'],
    ['a time span', array('took', '<m8', '(2,)', 16), 'took'],
    ['complex numbers', array('spectrum', '<c16', '(2,)', 32), 'spectrum'],
    ['long doubles', array('wide', '<f16', '(2,)', 32), 'wide'],
    ['raw bytes', array('blob', '|V7', '(2,)', 14), 'blob'],
    [
      'a structure',
      {
        name: 'table.npy',
        contents: makeNpy(
          `{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }`,
          new Uint8Array(4),
        ),
      },
      'table',
    ],
    ['a Python object', evil, 'extra'],
    ['a text file', { name: 'README.txt', contents: Buffer.from('hello') }, 'README.txt'],
    ['a file in a folder', { name: 'notes/a.json', contents: Buffer.from('{}') }, 'notes/a.json'],
    [
      'a pickle',
      { name: 'optimizer/data.pkl', contents: Buffer.from('\x80\x02.') },
      'optimizer/data.pkl',
    ],
    ['a hostile name', { name: '\x1b[2J', contents: new Uint8Array(1) }, '\\u001b[2J'],
  ])('%s', async (_, entry, name) => {
    const { fingerprint, warnings } = await load(npz([entry]))
    expect(warnings).toEqual([ignored([name])])
    expect(fingerprint).toBe(await plain)
  })

  test('all at once, in the order of the file, and many', { tags: 'slow' }, async () => {
    const { warnings } = await load(
      npz([array('step', '<i8', '()', 8), evil, array('saved', '<M8[s]', '()', 8)]),
    )
    expect(warnings).toEqual([ignored(['step', 'extra', 'saved'])])
    const many = Array.from({ length: 23 }, (_, i) => ({
      name: `${i}.txt`,
      contents: new Uint8Array(1),
    }))
    expect((await load(npz(many))).warnings).toEqual([
      ignored(
        many.slice(0, 20).map(({ name }) => name),
        ' and 3 more',
      ),
    ])
  })

  test('the contents are never read', { tags: 'slow' }, async () => {
    const big = { ...evil, contents: Buffer.concat([evil.contents, Buffer.alloc(100_000, 0x2e)]) }
    const bytes = npz([big, { name: 'b.bin', contents: new Uint8Array(100_000) }])
    const checkpoint = await openCheckpoint(bytes)
    expect([...checkpoint.skipped.keys()]).toEqual(['extra', 'b.bin'])
    await expect(checkpoint.read('extra', () => {})).rejects.toThrow(
      'holds Python objects (a pickle), whose code would run (dtype "|O")',
    )
    await expect(checkpoint.read('b.bin', () => {})).rejects.toThrow(
      'has an entry "b.bin", which is no .npy array',
    )
    expect(await readTensor(checkpoint, tensors[0]!.name)).toEqual(tensors[0]!.data)
    // Their checksums are not checked either.
    await load(npz([{ ...big, crc: 1 }]))
    await checkpoint.close()
  })

  test('encrypted entries, other compressions, and names that are not UTF-8', {
    tags: 'slow',
  }, async () => {
    const whole = npz([{ name: 'secret.txt', contents: new Uint8Array(9), flags: 1 }])
    const local = Buffer.from(whole).indexOf('secret.txt') - 30
    whole[local + 6] = 1
    expect((await load(whole)).warnings).toEqual([ignored(['secret.txt'])])
    expect(
      (await load(npz([{ name: 'a.txt', contents: new Uint8Array(9), method: 93 }]))).warnings,
    ).toEqual([ignored(['a.txt'])])
    const latin = Buffer.from(npz([{ name: 'QQ.txt', contents: new Uint8Array(9) }]))
    for (let at = latin.indexOf('QQ.txt'); at >= 0; at = latin.indexOf('QQ.txt'))
      latin.fill(0xe9, at, at + 2)
    expect((await load(latin)).warnings).toEqual([ignored(['éé.txt'])])
  })

  test('what the model needs is not skipped', async () => {
    const name = 'decoder/cls_head/bias'
    const objects = npz([{ ...evil, name: `${name}.npy` }], (each) =>
      each === name ? 'old' : each,
    )
    expect(await errorOf(objects)).toMatch(
      /^Array "decoder\/cls_head\/bias" of "Uint8Array" holds Python objects \(a pickle\)/,
    )
    expect(await errorOf(npz([{ ...evil, name: 'encoder/extra.npy' }]))).toMatch(
      /^Array "encoder\/extra" of "Uint8Array" holds Python objects/,
    )
    expect(await errorOf(npz([array('encoder/note', '<U1', '()', 4)]))).toMatch(
      /"encoder\/note" .* holds text/,
    )
  })

  test('damage is not skipped', async () => {
    expect(await errorOf(npz([array('labels', '<U8', '(3,)', 95)]))).toMatch(
      /"labels" .* holds text/,
    )
    expect(await errorOf(npz([{ name: 'x.npy', contents: new Uint8Array(200) }]))).toMatch(
      /not in \.npy format/,
    )
    expect(await errorOf(npz([array('step', '<i8', '()', 7)]))).toMatch(/does not fit its 7 bytes/)
  })
})

describe('beside the weights of a .safetensors', () => {
  test('numbers of any format', { tags: 'slow' }, async () => {
    const { fingerprint, warnings } = await load(
      safetensors({
        step: ['I64', [], 8],
        scale: ['F8_E4M3', [2, 3], 6],
        spectrum: ['C64', [2], 16],
        bits: ['F4', [4], 2],
      }),
    )
    expect(warnings).toEqual([ignored(['step', 'scale', 'spectrum', 'bits'])])
    expect(fingerprint).toBe((await load(npz())).fingerprint)
  })

  test('what the model needs is not skipped', async () => {
    expect(await errorOf(safetensors({ 'encoder/extra': ['F8_E5M2', [2], 2] }))).toMatch(
      /^Tensor "encoder\/extra" of "Uint8Array" has dtype "F8_E5M2": BOOL, U8, /,
    )
  })
})

describe('prefixes of Flax and of trainers', () => {
  test.each(['params/', 'model/', 'model/params/', 'params/model/', 'params/params/'])(
    '%s',
    { tags: 'slow' },
    async (prefix) => {
      const want = await load(npz())
      expect(want.warnings).toEqual([])
      const names = 'The names of the tensors in Uint8Array begin with'
      const warning = `${names} "${prefix}", which is removed`
      expect(await load(npz([], (name) => prefix + name))).toEqual({ ...want, warnings: [warning] })
      expect(await load(safetensors({}, prefix))).toEqual({ ...want, warnings: [warning] })
      const extras = await load(
        npz(
          [array('opt_state/mu', '<f4', '(2,)', 8), { ...evil, name: `${prefix}extra.npy` }],
          (name) => prefix + name,
        ),
      )
      expect(extras).toEqual({ ...want, warnings: [warning, ignored(['opt_state/mu', 'extra'])] })
    },
  )

  test('another prefix, two models, and a name with and without', { tags: 'slow' }, async () => {
    expect(await errorOf(npz([], (name) => `weights/${name}`))).toMatch(
      /has no tensor "tokenizer\/embedding\/kernel"/,
    )
    const two = (name: string): Entry[] =>
      tensors.map(({ name: each, shape, data }) => ({
        name: `${name}${each}.npy`,
        contents: encodeNpy(data, shape),
      }))
    expect(await errorOf(makeZip([...two('params/'), ...two('model/')]))).toBe(
      'Uint8Array contains a model under each of "params/" and "model/"; save only one of them',
    )
    const deep = 'params/'.repeat(4000)
    expect(await errorOf(npz([], (name) => deep + name))).toMatch(/^.{30,300}$/)
    // Official names have priority. Other copies are not part of the model.
    expect((await load(makeZip([...two(''), ...two('params/').slice(0, 1)]))).warnings).toEqual([
      ignored(['params/tokenizer/embedding/kernel']),
    ])
    const last = tensors.at(-1)!
    const both = npz(
      [{ name: `${last.name}.npy`, contents: encodeNpy(last.data, last.shape) }],
      (name) => `params/${name}`,
    )
    expect(await errorOf(both)).toBe(
      'Uint8Array has "decoder/cls_head/bias" with and without "params/"; save only one of them',
    )
  })
})

describe('a file of labels', () => {
  const names = ['cat', 'été', '犬 🐕']
  const utf16 = (text: string, order: 'le' | 'be'): Buffer => {
    const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
    return order === 'le' ? bytes : bytes.swap16()
  }
  const ends: [string, string][] = [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ]
  test.each(ends)('lines that end in %s', (_, end) => {
    for (const text of [names.join(end), names.join(end) + end, names.join(end) + end + end]) {
      for (const bytes of [
        Buffer.from(text),
        Buffer.from(`\ufeff${text}`),
        utf16(text, 'le'),
        utf16(text, 'be'),
      ]) {
        expect(parseLabels(bytes, 'l.txt')).toEqual(names)
      }
    }
  })

  test('an empty name in the middle stays', () =>
    expect(parseLabels(Buffer.from('a\n\nb\n'), 'l.txt')).toEqual(['a', '', 'b']))

  test.each([
    ['Latin-1', Buffer.from('été', 'latin1'), 'are not utf-8 text; save them as UTF-8'],
    [
      'UTF-16 cut short',
      utf16('ab', 'le').subarray(0, 5),
      'are not utf-16le text; save them as UTF-8',
    ],
    [
      'UTF-16 without a mark',
      Buffer.from('ab', 'utf16le'),
      'contain zero bytes; save them as UTF-8',
    ],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => parseLabels(bytes, 'l.txt')).toThrow(
      new TrecvitError(`The labels at "l.txt" ${message}`),
    )
  })
})
