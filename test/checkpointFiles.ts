/** Checkpoint files for tests: valid and damaged ones. */
import { deflateRawSync } from 'node:zlib'
import { expect } from 'vitest'
import { crc32 } from '../src/base/crc32.ts'
import { TrecvitError } from '../src/base/error.ts'
import { type Checkpoint, openCheckpoint } from '../src/checkpoint/checkpoint.ts'
import { encodeNpy } from '../src/checkpoint/npy.ts'
import type { SourceLike } from '../src/checkpoint/openSource.ts'

/** An entry of a zip. Fields have valid defaults. */
export interface Entry {
  readonly name: string
  readonly contents: Uint8Array
  readonly deflate?: boolean
  readonly method?: number
  readonly flags?: number
  readonly crc?: number
  readonly size?: number
  readonly packed?: number
  readonly at?: number
  readonly localName?: string
  readonly localExtra?: number
}

export interface ZipOptions {
  /** Whether all numbers of the directory are in zip64 records. */
  readonly zip64?: boolean
  readonly count?: number
  readonly directoryBytes?: number
  readonly comment?: string
}

export function makeZip(entries: readonly Entry[], options: ZipOptions = {}): Uint8Array {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  const add = (part: Buffer): void => {
    parts.push(part)
    at += part.length
  }
  for (const entry of entries) {
    const start = entry.at ?? at
    const data = Buffer.from(entry.deflate ? deflateRawSync(entry.contents) : entry.contents)
    const method = entry.method ?? (entry.deflate ? 8 : 0)
    const localName = Buffer.from(entry.localName ?? entry.name)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(method, 8)
    local.writeUInt16LE(localName.length, 26)
    local.writeUInt16LE(entry.localExtra ?? 0, 28)
    add(local)
    add(localName)
    add(Buffer.alloc(entry.localExtra ?? 0))
    add(data)
    const name = Buffer.from(entry.name)
    const size = entry.size ?? entry.contents.length
    const packed = entry.packed ?? data.length
    const extra = options.zip64 ? Buffer.alloc(4 + 24 + 6) : Buffer.alloc(0)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(entry.flags ?? 0, 8)
    central.writeUInt16LE(method, 10)
    central.writeUInt32LE(entry.crc ?? crc32(entry.contents), 16)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt16LE(extra.length, 30)
    if (options.zip64) {
      // An unknown field first: a reader must search for the zip64 field.
      extra.writeUInt16LE(0x5455, 0)
      extra.writeUInt16LE(2, 2)
      extra.writeUInt16LE(1, 6)
      extra.writeUInt16LE(24, 8)
      extra.writeBigUInt64LE(BigInt(size), 10)
      extra.writeBigUInt64LE(BigInt(packed), 18)
      extra.writeBigUInt64LE(BigInt(start), 26)
    }
    central.writeUInt32LE(options.zip64 ? 0xffffffff : packed, 20)
    central.writeUInt32LE(options.zip64 ? 0xffffffff : size, 24)
    central.writeUInt32LE(options.zip64 ? 0xffffffff : start, 42)
    directory.push(central, name, extra)
  }
  const start = at
  for (const part of directory) add(part)
  const bytes = options.directoryBytes ?? at - start
  const count = options.count ?? entries.length
  if (options.zip64) {
    const end64 = Buffer.alloc(56 + 20)
    end64.writeUInt32LE(0x06064b50, 0)
    end64.writeBigUInt64LE(BigInt(count), 32)
    end64.writeBigUInt64LE(BigInt(bytes), 40)
    end64.writeBigUInt64LE(BigInt(start), 48)
    end64.writeUInt32LE(0x07064b50, 56)
    end64.writeBigUInt64LE(BigInt(at), 56 + 8)
    add(end64)
  }
  const comment = Buffer.from(options.comment ?? '')
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(options.zip64 ? 0xffff : count, 10)
  end.writeUInt32LE(options.zip64 ? 0xffffffff : bytes, 12)
  end.writeUInt32LE(options.zip64 ? 0xffffffff : start, 16)
  end.writeUInt16LE(comment.length, 20)
  add(end)
  add(comment)
  return new Uint8Array(Buffer.concat(parts))
}

/** Returns an .npy file with this header text and contents. */
export function makeNpy(header: string, contents: Uint8Array, version = 1): Uint8Array {
  const text = Buffer.from(header, version === 3 ? 'utf8' : 'latin1')
  const lead = Buffer.alloc(version === 1 ? 10 : 12)
  lead.write('\x93NUMPY', 'latin1')
  lead[6] = version
  if (version === 1) lead.writeUInt16LE(text.length, 8)
  else lead.writeUInt32LE(text.length, 8)
  return new Uint8Array(Buffer.concat([lead, text, contents]))
}

export function npyHeader(descr: string, shape: string, fortran = false): string {
  const order = fortran ? 'True' : 'False'
  return `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`
}

/** Returns a .safetensors file with this header (an object or text) and data. */
export function makeSafetensors(
  header: unknown,
  data: Uint8Array = new Uint8Array(0),
  headerBytes?: number,
): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const lead = Buffer.alloc(8)
  lead.writeBigUInt64LE(BigInt(headerBytes ?? text.length))
  return new Uint8Array(Buffer.concat([lead, text, data]))
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/**
 * Returns the values of a tensor. Fails if chunks are too long, repeated, missing or out of order.
 */
export async function readTensor(checkpoint: Checkpoint, name: string): Promise<Float32Array> {
  const count = checkpoint.tensors.get(name)!.shape.reduce((product, n) => product * n, 1)
  const all = new Float32Array(count)
  let next = 0
  await checkpoint.read(name, (values, at) => {
    expect(at).toBe(next)
    expect(values.length).toBeLessThanOrEqual(1 << 18)
    all.set(values, at)
    next += values.length
  })
  expect(next).toBe(count)
  return all
}

/** Reads all tensors of a file. */
export async function readAll(
  from: SourceLike,
): Promise<Map<string, { shape: readonly number[]; dtype: string; values: Float32Array }>> {
  const checkpoint = await openCheckpoint(from)
  try {
    const all = new Map()
    for (const { name, shape, dtype } of checkpoint.tensors.values())
      all.set(name, { shape, dtype, values: await readTensor(checkpoint, name) })
    return all
  } finally {
    await checkpoint.close()
  }
}

/**
 * Asserts that opening or reading fails with a sentence in the style of the project that matches
 * `message`.
 */
export async function expectRefusal(from: SourceLike, message: RegExp = /./): Promise<void> {
  const error = await readAll(from).then(
    () => undefined,
    (error: unknown) => error,
  )
  expectSentence(error)
  expect((error as Error).message).toMatch(message)
}

export function expectSentence(error: unknown): void {
  expect(error).toBeInstanceOf(TrecvitError)
  expect((error as Error).message).toMatch(/^[A-Z].{10,900}[^.\s]$/)
}

/** Six numbers; below, their bytes and an array of them. */
export const numbers: Float32Array = new Float32Array([1, -2, 3.5, 4, 5, 6])
export const sixBytes: Uint8Array = bytesOf(numbers)
export const good: Entry = { name: 'w.npy', contents: encodeNpy(numbers, [2, 3]) }
