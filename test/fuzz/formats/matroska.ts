/** Matroska and WebM: EBML elements (RFC 8794, RFC 9559). */
import { readFileSync } from 'node:fs'
import type { Format } from '../format.ts'
import { bytes, type Group, group, number, type Part } from '../parts.ts'
import type { Random } from '../random.ts'
import { openDecoded, openDemuxed, openStreamed } from './video.ts'

/** Elements that contain elements. */
const MASTERS = new Set([
  0x1a45dfa3, 0x18538067, 0x114d9b74, 0x4dbb, 0x1549a966, 0x1654ae6b, 0xae, 0xe0, 0x55b0,
  0x1f43b675, 0xa0, 0x1c53bb6b, 0xbb, 0xb7, 0x1254c367, 0x7373, 0x63c0, 0x67c8, 0xe1, 0x6d80,
  0x6240, 0x5034, 0x1941a469, 0x1043a770,
])
const BLOCKS = new Set([0xa3, 0xa1])

/** Returns the width of an identifier or length from its first byte. */
const widthOf = (first: number): number => Math.clz32(first) - 23

function element(id: number, idWidth: number, sizeWidth: number, body: readonly Part[]): Group {
  const inner = group(`body ${id.toString(16)}`, [...body])
  return group(id.toString(16), [
    number(idWidth, 'big', id),
    number(sizeWidth, 'vint', (places) => places.size(inner)),
    inner,
  ])
}

function elements(file: Buffer, from: number, to: number): Group[] {
  const found: Group[] = []
  for (let at = from; at + 2 <= to; ) {
    const idWidth = widthOf(file[at]!)
    const id = file.readUIntBE(at, idWidth)
    const sizeAt = at + idWidth
    const sizeWidth = widthOf(file[sizeAt]!)
    const size = Number(
      BigInt.asUintN(
        7 * sizeWidth,
        BigInt(`0x${file.toString('hex', sizeAt, sizeAt + sizeWidth)}`),
      ),
    )
    const start = sizeAt + sizeWidth
    const end = Math.min(to, start + size)
    found.push(element(id, idWidth, sizeWidth, bodyOf(id, file, start, end)))
    at = end
  }
  return found
}

function bodyOf(id: number, file: Buffer, from: number, to: number): Part[] {
  if (MASTERS.has(id)) return elements(file, from, to)
  const uint = (at: number, width: number) =>
    number(width, 'big', BigInt(`0x${file.toString('hex', at, at + width)}`))
  const rest = (at: number) => bytes(new Uint8Array(file.subarray(at, to)))
  // Track number, time, flags with the type of lacing.
  if (BLOCKS.has(id)) return [uint(from, 1), uint(from + 1, 2), uint(from + 3, 1), rest(from + 4)]
  return to - from > 0 && to - from <= 8 ? [uint(from, to - from)] : [rest(from)]
}

const parse = (path: string) => (): Group => {
  const file = readFileSync(path)
  return group('file', elements(file, 0, file.length))
}

/** Returns nested elements: of unknown length, or with correct lengths. */
function nest(random: Random, depth: number): Uint8Array {
  const id = random.pick([
    [0x67, 0xc8],
    [0xae],
    [0x1f, 0x43, 0xb6, 0x75],
    [0x18, 0x53, 0x80, 0x67],
    [0xa0],
    [0x7373 >> 8, 0x73],
    [0xec],
  ])
  if (random.once(2))
    return new Uint8Array(Buffer.alloc(depth * (id.length + 1), Buffer.from([...id, 0xff])))
  const step = id.length + 4
  const out = Buffer.alloc(step * depth)
  for (let i = 0; i < depth; i++) {
    out.set(id, step * i)
    out.writeUInt32BE(
      Math.min(0x0fffffff, step * (depth - i - 1)) + 0x10000000,
      step * i + id.length,
    )
  }
  return new Uint8Array(out)
}

const seeds = [
  parse('models/short.webm'),
  parse('test/media/odd.webm'),
  parse('test/media/vp8.webm'),
  parse('test/media/resize.webm'),
]

export const matroska: Format = { name: 'matroska', open: openDemuxed, nest, seeds }

export const matroskaStreamed: Format = {
  name: 'matroska-streamed',
  open: openStreamed,
  nest,
  seeds,
}

/** Matroska decoded by FFmpeg in WebAssembly. */
export const matroskaDecoded: Format = { name: 'matroska-decoded', open: openDecoded, nest, seeds }
