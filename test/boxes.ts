/**
 * MP4 boxes and Matroska elements for tests: files that no encoder writes.
 */
import { readFileSync } from 'node:fs'
import { media } from './clips.ts'

/** Returns a box of these parts. Numbers become 32-bit integers. */
export function box(kind: string, ...parts: (Uint8Array | number)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'number' ? be32(part) : part)))
  return Buffer.concat([be32(body.length + 8), Buffer.from(kind, 'latin1'), body])
}

/** Returns an element with this body and a size of 8 bytes, or of unknown size. */
export function element(id: number, body: Uint8Array | 'unknown'): Buffer {
  const hex = id.toString(16)
  const head = Buffer.from(hex.length % 2 === 1 ? `0${hex}` : hex, 'hex')
  if (body === 'unknown') return Buffer.concat([head, Buffer.from('01ffffffffffffff', 'hex')])
  const size = Buffer.alloc(8)
  size.writeBigUInt64BE(BigInt(body.length))
  size[0] = 1
  return Buffer.concat([head, size, body])
}

export function be32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** Repeats bytes, up to `size` bytes. */
export function flood(bytes: Uint8Array, size: number): Buffer {
  return Buffer.concat(Array<Uint8Array>(Math.floor(size / bytes.length)).fill(bytes))
}

/** Returns the top-level boxes of a clip, in order. */
export function boxesOf(bytes: Buffer): { kind: string; bytes: Buffer }[] {
  const boxes: { kind: string; bytes: Buffer }[] = []
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at)
    boxes.push({
      kind: bytes.toString('latin1', at + 4, at + 8),
      bytes: bytes.subarray(at, at + size),
    })
    at += size
  }
  return boxes
}

/**
 * Returns the clip with another edit list. An entry has a duration in milliseconds, a media time in
 * ticks (10240 per second) and a rate.
 */
export function withEdits(
  clip: string,
  entries: readonly (readonly [duration: number, time: number, rate: number])[],
): Buffer {
  const bytes = readFileSync(media(clip))
  const elst = box(
    'elst',
    0,
    entries.length,
    ...entries.flatMap(([duration, time, rate]) => [duration, time, rate * 65536]),
  )
  const at = bytes.indexOf('edts') - 4
  const edts = box('edts', elst)
  const grown = Buffer.concat([
    bytes.subarray(0, at),
    edts,
    bytes.subarray(at + bytes.readUInt32BE(at)),
  ])
  // The index is after the media data, so only the sizes of the enclosing boxes change.
  const difference = edts.length - bytes.readUInt32BE(at)
  for (const kind of ['moov', 'trak']) {
    const header = grown.indexOf(kind) - 4
    grown.writeUInt32BE(grown.readUInt32BE(header) + difference, header)
  }
  return grown
}
