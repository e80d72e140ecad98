/**
 * Formats that FFmpeg in WebAssembly demuxes: AVI, MPEG-TS, MPEG-PS, FLV, GIF and WebP. Also MP4
 * and Matroska if damage is skipped.
 */
import { readFileSync } from 'node:fs'
import type { Format } from '../format.ts'
import { bytes, type Group, group, number, type Part } from '../parts.ts'
import { matroska } from './matroska.ts'
import { mp4 } from './mp4.ts'
import { openByFfmpeg } from './video.ts'

/** Splits bytes into numbers of one width and a rest. */
function numbers(file: Buffer, from: number, to: number, width: number): Part[] {
  const parts: Part[] = []
  let at = from
  for (; at + width <= to; at += width)
    parts.push(number(width, 'little', BigInt(`0x${swapped(file, at, width)}`)))
  return [...parts, rest(file, at, to)]
}

function swapped(file: Buffer, at: number, width: number): string {
  return Buffer.from(file.subarray(at, at + width))
    .reverse()
    .toString('hex')
}

function rest(file: Buffer, from: number, to: number): Part {
  return bytes(new Uint8Array(file.subarray(from, to)))
}

/** Chunks that contain numbers: headers and indexes. */
const TABLES = new Set(['avih', 'strh', 'strf', 'idx1', 'VP8X', 'ANIM'])

/** Parses RIFF: chunks with lengths, some of which are nested. */
function chunks(file: Buffer, from: number, to: number): Part[] {
  const parts: Part[] = []
  let at = from
  for (; at + 8 <= to; ) {
    const id = file.toString('latin1', at, at + 4)
    const end = Math.min(to, at + 8 + file.readUInt32LE(at + 4))
    const isList = id === 'RIFF' || id === 'LIST'
    const inner = isList
      ? [rest(file, at + 8, at + 12), ...chunks(file, at + 12, end)]
      : TABLES.has(id)
        ? numbers(file, at + 8, end, 4)
        : [rest(file, at + 8, end)]
    const body = group(`body ${id}`, inner)
    const size = number(4, 'little', (places) => places.size(body))
    parts.push(group(id, [rest(file, at, at + 4), size, body, ...pad(end, to)]))
    at = end + (end % 2)
  }
  return parts
}

const pad = (end: number, to: number): Part[] =>
  end % 2 === 1 && end < to ? [bytes(new Uint8Array(1))] : []

const parse = (name: string, parts: (file: Buffer) => Part[]) => (): Group =>
  group('file', parts(readFileSync(`test/media/${name}`)))

/** Splits a file into packets of equal length, each with a header. */
function packets(file: Buffer, length: number, header: number): Part[] {
  const parts: Part[] = []
  for (let at = 0; at < file.length; at += length) {
    const end = Math.min(file.length, at + length)
    const inner = Math.min(end, at + header)
    parts.push(group('packet', [...numbers(file, at, inner, 1), rest(file, inner, end)]))
  }
  return parts
}

/** Parses FLV: tags, each followed by its length. */
function tags(file: Buffer): Part[] {
  const parts: Part[] = [group('header', numbers(file, 0, 13, 1))]
  for (let at = 13; at + 15 <= file.length; ) {
    const end = Math.min(file.length, at + 15 + file.readUIntBE(at + 1, 3))
    const body = group('body', [rest(file, at + 11, end - 4)])
    parts.push(
      group('tag', [
        number(1, 'big', file[at]!),
        number(3, 'big', (places) => places.size(body)),
        ...numbers(file, at + 4, at + 11, 1),
        body,
        number(4, 'big', (places) => places.size(body) + 11),
      ]),
    )
    at = end
  }
  return parts
}

/** Splits a program stream at its start codes, 00 00 01. */
function starts(file: Buffer): Part[] {
  const parts: Part[] = []
  for (let at = 0; at < file.length; ) {
    const next = file.indexOf(Buffer.from([0, 0, 1]), at + 3)
    const end = next < 0 ? file.length : next
    const inner = Math.min(end, at + 12)
    parts.push(group('start', [...numbers(file, at, inner, 1), rest(file, inner, end)]))
    at = end
  }
  return parts
}

const avi = parse('mpeg4.avi', (file) => chunks(file, 0, file.length))
const ts = parse('h264.mpegts', (file) => packets(file, 188, 4))
const ps = parse('mpeg2.mpg', starts)
const flv = parse('sorenson.flv', tags)
const gif = parse('palette.gif', (file) => packets(file, 64, 16))
const webp = parse('animated.webp', (file) => chunks(file, 0, file.length))
const still = parse('still.webp', (file) => chunks(file, 0, file.length))

export const aviDecoded: Format = { name: 'avi-decoded', open: openByFfmpeg, seeds: [avi] }
export const tsDecoded: Format = { name: 'ts-decoded', open: openByFfmpeg, seeds: [ts] }
export const psDecoded: Format = { name: 'ps-decoded', open: openByFfmpeg, seeds: [ps] }
export const flvDecoded: Format = { name: 'flv-decoded', open: openByFfmpeg, seeds: [flv] }
export const gifDecoded: Format = { name: 'gif-decoded', open: openByFfmpeg, seeds: [gif] }
export const webpDecoded: Format = {
  name: 'webp-decoded',
  open: openByFfmpeg,
  seeds: [webp, still],
}
export const skippedDecoded: Format = {
  name: 'skipped-decoded',
  open: openByFfmpeg,
  seeds: [...mp4.seeds, ...matroska.seeds],
}
