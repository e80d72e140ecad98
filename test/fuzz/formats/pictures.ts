/** PNG and JPEG. */
import { readFileSync } from 'node:fs'
import { deflateSync, inflateSync } from 'node:zlib'
import { crc32 } from '../../../src/base/crc32.ts'
import type { Format } from '../format.ts'
import { bytes, type Group, group, latin, number, type Part } from '../parts.ts'
import { openDecoderless } from './video.ts'

const read = (name: string): Buffer => readFileSync(`test/media/${name}`)

function chunk(kind: string, data: Part[], pack?: Group['pack']): Group {
  const body = group(`data ${kind}`, data, pack)
  const title = latin(kind)
  const length = number(4, 'big', (places) => places.size(body))
  const crc = number(
    4,
    'big',
    (places) => crc32(places.bytes(body), crc32(places.bytes(title))),
    true,
  )
  return group('chunk', [length, title, body, crc])
}

/** Splits a buffer into numbers of these widths and a rest. */
function fields(data: Uint8Array, ...widths: readonly number[]): Part[] {
  const parts: Part[] = []
  let at = 0
  for (const width of widths) {
    parts.push(number(width, 'big', Buffer.from(data).readUIntBE(at, width)))
    at += width
  }
  return at < data.length ? [...parts, bytes(data.slice(at))] : parts
}

const HEADER = [4, 4, 1, 1, 1, 1, 1]
const deflate = (raw: Uint8Array) => new Uint8Array(deflateSync(raw))

function png(file: Buffer): Group {
  const parts: Part[] = []
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at)
    const kind = file.toString('latin1', at + 4, at + 8)
    const data = file.subarray(at + 8, at + 8 + length)
    const body = kind === 'IHDR' ? fields(data, ...HEADER) : [bytes(new Uint8Array(data))]
    parts.push(kind === 'IDAT' ? pixels(data) : chunk(kind, body))
    at += 12 + length
  }
  return group('file', [latin('\x89PNG\r\n\x1a\n'), ...parts])
}

/** Inflates the pixels, so that mutations reach them. Incomplete pixels stay as stored. */
function pixels(data: Buffer): Group {
  try {
    return chunk('IDAT', [bytes(new Uint8Array(inflateSync(data)))], deflate)
  } catch {
    return chunk('IDAT', [bytes(new Uint8Array(data))])
  }
}

/** Returns a small PNG of any type. */
function smallPng(depth: number, colour: number, interlace: number, side = 8): Group {
  const header = Buffer.from([
    0,
    0,
    side >> 8,
    side & 255,
    0,
    0,
    side >> 8,
    side & 255,
    depth,
    colour,
    0,
    0,
    interlace,
  ])
  const extra = [
    chunk('PLTE', [bytes(new Uint8Array(48))]),
    chunk('tRNS', [bytes(new Uint8Array(2))]),
    chunk('gAMA', [number(4, 'big', 45455)]),
    chunk('tEXt', [latin('Title\0text')]),
    chunk('iCCP', [latin('icc\0\0'), bytes(deflate(new Uint8Array(4000)))]),
    chunk('acTL', [number(4, 'big', 2), number(4, 'big', 0)]),
    chunk('pHYs', fields(Buffer.alloc(9, 1), 4, 4, 1)),
  ]
  return group('file', [
    latin('\x89PNG\r\n\x1a\n'),
    chunk('IHDR', fields(header, ...HEADER)),
    ...extra,
    chunk('IDAT', [bytes(new Uint8Array(8 * 8 * 8 + 32))], deflate),
    chunk('IEND', []),
  ])
}

function frameOf(data: Buffer, side: number | undefined): Part[] {
  const parts = fields(data, 1, 2, 2, 1, 1, 1, 1)
  return side === undefined
    ? parts
    : [parts[0]!, number(2, 'big', side), number(2, 'big', side), ...parts.slice(3)]
}

/** @param side declared side in the frame header, instead of the actual size */
function jpeg(file: Buffer, side?: number): Group {
  const parts: Part[] = [number(2, 'big', 0xffd8)]
  for (let at = 2; at < file.length; ) {
    const marker = file[at + 1]!
    const length = file.readUInt16BE(at + 2)
    const data = file.subarray(at + 4, at + 2 + length)
    const frame = marker >= 0xc0 && marker <= 0xc2
    const body = group(`segment ${marker}`, frame ? frameOf(data, side) : fields(data, 1))
    const size = number(2, 'big', (places) => places.size(body) + 2)
    parts.push(group('segment', [number(1, 'big', 0xff), number(1, 'big', marker), size, body]))
    at += 2 + length
    if (marker === 0xda) {
      parts.push(bytes(new Uint8Array(file.subarray(at, -2))), number(2, 'big', 0xffd9))
      break
    }
  }
  return group('file', parts)
}

export const pngs: Format = {
  name: 'png',
  open: openDecoderless,
  seeds: [
    () => png(read('picture.png')),
    () => smallPng(8, 3, 0),
    () => smallPng(16, 6, 1),
    () => smallPng(1, 0, 0),
    () => smallPng(8, 2, 1),
    // Declares more pixels than the file has.
    () => smallPng(8, 6, 0, 4096),
  ],
}

export const jpegs: Format = {
  name: 'jpeg',
  open: openDecoderless,
  seeds: [() => jpeg(read('picture.jpg')), () => jpeg(read('picture.jpg'), 4096)],
}
