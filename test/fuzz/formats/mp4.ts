/** MP4 and MOV: boxes (ISO/IEC 14496-12), with and without fragments. */
import { readFileSync } from 'node:fs'
import type { Format } from '../format.ts'
import { bytes, type Group, group, latin, number, type Part } from '../parts.ts'
import type { Random } from '../random.ts'
import { openAuto, openDecoded, openDemuxed, openStreamed } from './video.ts'

const CONTAINERS = new Set([
  'moov',
  'trak',
  'mdia',
  'minf',
  'stbl',
  'edts',
  'dinf',
  'udta',
  'mvex',
  'moof',
  'traf',
  'mfra',
])
/** Tables of 32-bit numbers. */
const TABLES = new Set([
  'mvhd',
  'tkhd',
  'mdhd',
  'elst',
  'stts',
  'ctts',
  'stsc',
  'stsz',
  'stco',
  'co64',
  'stss',
  'vmhd',
  'sgpd',
  'sbgp',
  'trun',
  'tfhd',
  'tfdt',
  'mfhd',
  'trex',
  'mehd',
  'sidx',
  'tfra',
  'mfro',
])
/** Numbers of a table that are mutated individually. */
const MOST = 64

/** Returns a box with a length of 32 bits, or 64 bits if `wide`. */
function box(kind: string, parts: readonly Part[], wide = false): Group {
  const size = number(wide ? 8 : 4, 'big', (places, parent) => places.size(parent))
  return group(
    kind,
    wide ? [number(4, 'big', 1), latin(kind), size, ...parts] : [size, latin(kind), ...parts],
  )
}

function boxes(file: Buffer, from: number, to: number): Group[] {
  const found: Group[] = []
  for (let at = from; at + 8 <= to; ) {
    const size = file.readUInt32BE(at)
    const kind = file.toString('latin1', at + 4, at + 8)
    const end = size < 8 ? to : Math.min(to, at + size)
    found.push(box(kind, bodyOf(kind, file, at + 8, end)))
    at = end
  }
  return found
}

function bodyOf(kind: string, file: Buffer, from: number, to: number): Part[] {
  if (CONTAINERS.has(kind)) return boxes(file, from, to)
  if (kind === 'stsd') return [...words(file, from, from + 8), ...entries(file, from + 8, to)]
  if (kind === 'meta') return [...words(file, from, from + 4), ...boxes(file, from + 4, to)]
  if (TABLES.has(kind)) return words(file, from, to)
  return [bytes(new Uint8Array(file.subarray(from, to)))]
}

/** Parses sample descriptions: 78 bytes, with width and height, then boxes. */
function entries(file: Buffer, from: number, to: number): Group[] {
  const found: Group[] = []
  for (let at = from; at + 86 <= to; at += file.readUInt32BE(at)) {
    const size = (offset: number) => number(2, 'big', file.readUInt16BE(at + offset))
    const rest = (start: number, end: number) =>
      bytes(new Uint8Array(file.subarray(at + start, at + end)))
    const kind = file.toString('latin1', at + 4, at + 8)
    found.push(
      box(kind, [
        rest(8, 32),
        size(32),
        size(34),
        rest(36, 86),
        ...boxes(file, at + 86, at + file.readUInt32BE(at)),
      ]),
    )
  }
  return found
}

function words(file: Buffer, from: number, to: number): Part[] {
  const end = Math.min(to, from + 4 * MOST)
  const parts: Part[] = []
  let at = from
  for (; at + 4 <= end; at += 4) parts.push(number(4, 'big', file.readUInt32BE(at)))
  return at < to ? [...parts, bytes(new Uint8Array(file.subarray(at, to)))] : parts
}

function parse(path: string, wide = false): Group {
  const file = readFileSync(path)
  const root = group('file', boxes(file, 0, file.length))
  if (wide)
    root.parts = root.parts.map((part) =>
      (part as Group).name === 'mdat' ? box('mdat', (part as Group).parts.slice(2), true) : part,
    )
  return root
}

function find(from: Group, kind: string): Group {
  return from.parts.find((part) => part.is === 'group' && part.name === kind) as Group
}

/** Returns the clip with its index before the media data, as streams require. */
function indexFirst(path: string): Group {
  const root = parse(path)
  const moov = find(root, 'moov')
  const stco = ['trak', 'mdia', 'minf', 'stbl', 'stco'].reduce(find, moov)
  // Offsets start after the header of the box, its version and its count.
  stco.parts = stco.parts.map((part, i) => {
    const offset = i < 4 ? null : Number((part as { value: number }).value)
    return offset === null ? part : number(4, 'big', (places) => places.size(moov) + offset)
  })
  const rest = root.parts.filter((part) => part !== moov)
  root.parts = [...rest.slice(0, 1), moov, ...rest.slice(1)]
  return root
}

/** Returns another file's clip as fragments: two `moof` boxes with the packets of its table. */
function fragmented(path: string): Group {
  const root = parse(path)
  const u32 = (...values: number[]) => values.map((value) => number(4, 'big', value))
  const moov = find(root, 'moov')
  const stbl = ['trak', 'mdia', 'minf', 'stbl'].reduce(find, moov)
  const sizes = find(stbl, 'stsz')
    .parts.slice(5)
    .map((part) => Number((part as { value: number }).value))
  const data = (find(root, 'mdat').parts[2] as { data: Uint8Array }).data
  const empty = (kind: string, count: number) => box(kind, u32(...new Array<number>(count).fill(0)))
  stbl.parts = [
    ...stbl.parts.slice(0, 2),
    find(stbl, 'stsd'),
    empty('stts', 2),
    empty('stsc', 2),
    empty('stsz', 3),
    empty('stco', 2),
  ]
  moov.parts.push(box('mvex', [box('trex', u32(0, 1, 1, 512, 0, 0))]))
  const fragments = [sizes.slice(0, 5), sizes.slice(5)].flatMap((part, i) => {
    const before = sizes.slice(0, i * 5).reduce((sum, size) => sum + size, 0)
    const total = part.reduce((sum, size) => sum + size, 0)
    const samples = part.flatMap((size, j) =>
      u32(512, size, i + j === 0 ? 0x02000000 : 0x01010000, 0),
    )
    const trun: Group = box('trun', [
      ...u32(0xf01, part.length),
      number(4, 'big', (places) => places.size(moof) + 8),
      ...samples,
    ])
    const traf = box('traf', [
      box('tfhd', u32(0x020000, 1)),
      box('tfdt', u32(0, i * 5 * 512)),
      trun,
    ])
    const moof: Group = box('moof', [box('mfhd', u32(0, i + 1)), traf])
    return [moof, box('mdat', [bytes(data.slice(before, before + total))])]
  })
  root.parts = [find(root, 'ftyp'), moov, ...fragments]
  return root
}

/** Returns nested boxes with correct lengths. */
function nest(random: Random, depth: number): Uint8Array {
  const kind = random.pick([
    'trak',
    'mdia',
    'minf',
    'stbl',
    'moov',
    'udta',
    'moof',
    'traf',
    'meta',
    'edts',
  ])
  const out = Buffer.alloc(8 * depth)
  for (let i = 0; i < depth; i++) {
    out.writeUInt32BE(8 * (depth - i), 8 * i)
    out.write(kind, 8 * i + 4, 'latin1')
  }
  return new Uint8Array(out)
}

const media = (name: string) => () => parse(`test/media/${name}`)
const seeds = [
  media('h264.mp4'),
  media('cut.mp4'),
  media('rotated.mp4'),
  media('vfr.mp4'),
  media('hevc10.mp4'),
  media('gray.mp4'),
  media('mjpeg.mov'),
  media('audio.mp4'),
  () => parse('test/media/h264.mp4', true),
  () => fragmented('test/media/h264.mp4'),
]

export const mp4: Format = { name: 'mp4', open: openDemuxed, nest, seeds }

/** Mostly files with the index first. Others are stored and read as files. */
const streamed = [
  ...['h264.mp4', 'vfr.mp4', 'mjpeg.mov'].map((name) => () => indexFirst(`test/media/${name}`)),
  () => fragmented('test/media/h264.mp4'),
  media('frag-sound.mp4'),
  media('h264.mp4'),
]

export const mp4Streamed: Format = {
  name: 'mp4-streamed',
  open: openStreamed,
  nest,
  seeds: streamed,
}

/** MP4 decoded by FFmpeg in WebAssembly. */
export const mp4Decoded: Format = { name: 'mp4-decoded', open: openDecoded, nest, seeds }

/** MP4 decoded by node-webcodecs or the installed ffmpeg. */
export const mp4Auto: Format = { name: 'mp4-auto', open: openAuto, nest, seeds }
