import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import { build } from 'esbuild'
import { describe, expect, test, vi } from 'vitest'
import { crc32, crc32Anywhere } from '../src/base/crc32.ts'
import { openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpy, encodeNpz } from '../src/checkpoint/npy.ts'
import { expectRefusal, makeNpy, makeSafetensors, makeZip, npyHeader } from './checkpointFiles.ts'

describe('the kind of a file', () => {
  test('is detected from its first bytes', async () => {
    expect(
      (await openCheckpoint(encodeNpz([['a', { data: new Uint8Array(1), shape: [1] }]]))).format,
    ).toBe('npz')
    expect((await openCheckpoint(makeSafetensors({}))).format).toBe('safetensors')
  })

  test('.npz files are refused where nothing can be imported on demand', async () => {
    const npz = encodeNpz([['a', { data: new Uint8Array(1), shape: [1] }]])
    vi.doMock('../src/checkpoint/npz.ts', () => Promise.reject(new Error('a service worker')))
    await expect(openCheckpoint(npz)).rejects.toThrow(
      'The reader of .npz files cannot be imported on demand here: bundle the program, or ' +
        'convert to .safetensors',
    )
    vi.doUnmock('../src/checkpoint/npz.ts')
    expect((await openCheckpoint(npz)).format).toBe('npz')
  })

  const text = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0))
  test.each<[string, Uint8Array, RegExp]>([
    ['a pickle', text('\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P'), /a Python pickle/],
    ['a .npy', encodeNpy(new Float32Array(4), [4]), /a single \.npy array/],
    ['HDF5', text('\x89HDF\r\n\x1a\n\0\0\0\0'), /an HDF5 file/],
    ['gzip', text('\x1f\x8b\x08\0\0\0\0\0'), /a gzip file/],
    ['GGUF', text('GGUF\x03\0\0\0'), /a GGUF file/],
    [
      'Git LFS',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:'),
      /a Git LFS pointer/,
    ],
    [
      'ONNX',
      text('\x08\x09\x12\x07trecvit\x1a\x050.1.0'),
      /an ONNX file for other runtimes, not an .npz or .safetensors .*: give the one that it was /,
    ],
    ['a page', text('\n <html><body>'), /an HTML or XML page/],
    ['JSON', text('{"error": "no such file"}'), /a JSON text/],
    ['one byte', text('P'), /unknown kind \(it begins with 50\)/],
    [
      'noise',
      text('\x00\xff\x07abcdefgh'),
      /unknown kind \(it begins with 00 ff 07 61 62 63 64 65\)/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expectRefusal(bytes, message)
  })
})

test.each([
  ['of the runtime', crc32],
  ['of our own', crc32Anywhere],
])('CRC-32 %s for every alignment and length around a turn, joined at any place', (_, crc32) => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
  expect(crc32(new Uint8Array(new ArrayBuffer(0)), 5)).toBe(5)
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 37 + (i >> 2))
  // The definition, bit by bit.
  const reference = (part: Uint8Array): number => {
    let c = ~0
    for (const byte of part)
      for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (((c ^ (byte >> bit)) & 1) * 0xedb88320)
    return ~c >>> 0
  }
  for (let from = 0; from < 20; from++) {
    for (let to = from; to <= 100; to++) {
      const part = bytes.subarray(from, to)
      expect(crc32(part)).toBe(reference(part))
      expect(crc32(part.subarray(3), crc32(part.subarray(0, 3)))).toBe(reference(part))
    }
  }
})

describe('memory', () => {
  const VALUES = 50_000_000
  const header = makeNpy(npyHeader('<f4', `(${VALUES},)`), new Uint8Array(0))

  /**
   * Writes an .npz of one array of zeros. If stored, the file is sparse and uses no disk blocks.
   */
  function writeNpz(path: string, deflate: boolean): void {
    const contents = new Uint8Array(header.length + 4 * VALUES)
    contents.set(header)
    const packed = deflate ? deflateRawSync(contents, { level: 1 }) : header
    const hole = deflate ? 0 : 4 * VALUES
    // The directory is made for a short entry, then moved behind the zeros.
    const crc = crc32(contents)
    const zip = Buffer.from(
      makeZip([
        {
          name: 'x.npy',
          contents: packed,
          method: deflate ? 8 : 0,
          crc,
          size: contents.length,
          packed: packed.length + hole,
        },
      ]),
    )
    const at = 30 + 5 + packed.length
    zip.writeUInt32LE(at + hole, zip.length - 6)
    const file = openSync(path, 'w')
    writeSync(file, zip, 0, at, 0)
    writeSync(file, zip, at, zip.length - at, at + hole)
    closeSync(file)
  }

  function writeSafetensors(path: string): void {
    const start = makeSafetensors({
      x: { dtype: 'F32', shape: [VALUES], data_offsets: [0, 4 * VALUES] },
    })
    writeFileSync(path, start)
    truncateSync(path, start.length + 4 * VALUES)
  }

  /**
   * Reads a file in another process. Prints the growth of its memory in bytes and the number of
   * values.
   */
  const READER = `
    import { openCheckpoint } from './checkpoint.ts'
    const before = process.memoryUsage.rss()
    const checkpoint = await openCheckpoint(process.argv[2])
    let growth = 0
    let count = 0
    await checkpoint.read('x', (values) => {
      count += values.length
      growth = Math.max(growth, process.memoryUsage.rss() - before)
    })
    console.log(JSON.stringify({ growth, count }))
  `

  test.each<[string, (path: string) => void]>([
    ['stored.npz', (path) => writeNpz(path, false)],
    ['deflated.npz', (path) => writeNpz(path, true)],
    ['x.safetensors', writeSafetensors],
  ])('%s: 200 MB are read in less than 60', { tags: 'slow' }, async (name, write) => {
    const folder = mkdtempSync(join(tmpdir(), 'trecvit-memory-'))
    try {
      write(join(folder, name))
      const script = join(folder, 'reader.mjs')
      const resolveDir = fileURLToPath(new URL('../src/checkpoint/', import.meta.url))
      await build({
        stdin: { contents: READER, resolveDir, loader: 'ts' },
        outfile: script,
        bundle: true,
        format: 'esm',
        platform: 'node',
        logLevel: 'error',
      })
      const { growth, count } = JSON.parse(
        execFileSync(process.execPath, [script, join(folder, name)], { encoding: 'utf8' }),
      ) as { growth: number; count: number }
      expect(count).toBe(VALUES)
      expect(growth).toBeLessThan(60e6)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
