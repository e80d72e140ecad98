/**
 * Stores streams of MP4 and MOV whose index follows the pictures, because they cannot be read in
 * order. They are stored in a temporary file, or in memory if there are no files.
 */
import { TrecvitError } from '../../base/error.ts'
import { builtinModule } from '../../platform/platform.ts'
import type { ByteReader } from './byteReader.ts'
import { fileBytes } from './fileBytes.ts'
import { capital, type Media } from './media.ts'
import { seekable } from './seekable.ts'

/** Bytes of the largest stream that is stored. */
const MAX_FILE = 2 ** 33
const MAX_MEMORY = 2 ** 29
/** Bytes of a stream in which its index is searched. */
const MAX_PREFIX = 1 << 20

const CHUNK = 1 << 18
const FIRST_BOXES = ['ftyp', 'styp', 'moov', 'moof', 'mdat', 'free', 'skip', 'wide', 'pnot', 'uuid']

/** The first bytes of a stream, as many as needed to choose how to read it. */
export interface Prefix {
  readonly bytes: Uint8Array
  /** Whether it is an MP4 or MOV whose index follows the pictures. */
  readonly isIndexLast: boolean
}

/** Reads the boxes at the start of a stream, up to the index or the pictures. */
export async function readPrefix(reader: ByteReader, head: Uint8Array): Promise<Prefix> {
  let bytes = head
  // The buffer doubles each time, so many small boxes are not copied once for each box.
  let room = head
  const reach = async (end: number): Promise<boolean> => {
    if (room.length < end) room = grown(bytes, 2 * end)
    if (bytes.length < end) {
      const got = await reader.fill(room.subarray(bytes.length, end))
      bytes = room.subarray(0, bytes.length + got)
    }
    return bytes.length >= end
  }
  for (let at = 0; await reach(at + 16); ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    if (at === 0 && !FIRST_BOXES.includes(kind)) break
    if (kind === 'moov' || kind === 'moof') break
    const short = view.getUint32(0)
    const size = short === 1 ? Number(view.getBigUint64(8)) : short
    if (kind === 'mdat' || at + size > MAX_PREFIX) return { bytes, isIndexLast: true }
    if (size < 8) break
    at += size
  }
  return { bytes, isIndexLast: false }
}

/**
 * Stores a stream.
 * @throws TrecvitError if it is too large or cannot be stored
 */
export async function spool(
  reader: ByteReader,
  prefix: Uint8Array,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Media> {
  const fs = builtinModule('node:fs/promises')
  const os = builtinModule('node:os')
  return fs && os
    ? spoolToFile(reader, prefix, name, signal, fs, os.tmpdir())
    : spoolToMemory(reader, prefix, name, signal)
}

async function spoolToFile(
  reader: ByteReader,
  prefix: Uint8Array,
  name: string,
  signal: AbortSignal | undefined,
  fs: typeof import('node:fs/promises'),
  folder: string,
): Promise<Media> {
  const path = `${folder}/trecvit-${crypto.randomUUID()}.video`
  const refuse = (error: NodeJS.ErrnoException): never => {
    signal?.throwIfAborted()
    const reason = `it cannot be stored in ${folder} (${error.code})`
    throw new TrecvitError(`${unordered(name)}, and ${reason}: give a file`, { cause: error })
  }
  const file = await fs.open(path, 'wx+', 0o600).catch(refuse)
  try {
    // A file without a name is removed when the process ends, even after a crash.
    await fs.unlink(path)
    let size = 0
    for await (const part of parts(reader, prefix, name, MAX_FILE)) {
      for (let done = 0; done < part.length; ) {
        done += (await file.write(part, done).catch(refuse)).bytesWritten
      }
      size += part.length
    }
    signal?.throwIfAborted()
    return await seekable(fileBytes(file, name, size), signal)
  } catch (error) {
    await file.close().catch(() => {})
    throw error
  }
}

async function spoolToMemory(
  reader: ByteReader,
  prefix: Uint8Array,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Media> {
  const all: BlobPart[] = []
  for await (const part of parts(reader, prefix, name, MAX_MEMORY)) all.push(part as BlobPart)
  signal?.throwIfAborted()
  const blob = new Blob(all)
  const read = async (offset: number, length: number): Promise<Uint8Array> =>
    new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
  return seekable({ name, size: blob.size, read, async close() {} }, signal)
}

async function* parts(
  reader: ByteReader,
  prefix: Uint8Array,
  name: string,
  limit: number,
): AsyncGenerator<Uint8Array> {
  let size = prefix.length
  yield prefix
  for (;;) {
    const chunk = new Uint8Array(CHUNK)
    const got = await reader.fill(chunk)
    if (got === 0) return
    size += got
    if (size > limit) {
      await reader.cancel()
      throw new TrecvitError(`${unordered(name)}, beyond ${limit} bytes: give a file`)
    }
    yield chunk.subarray(0, got)
  }
}

function unordered(name: string): string {
  return `${capital(name)} cannot be read in order, because its index is at its end`
}

function grown(bytes: Uint8Array, length: number): Uint8Array {
  const all = new Uint8Array(length)
  all.set(bytes)
  return all
}
