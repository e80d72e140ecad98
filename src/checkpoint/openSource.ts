/** Opens a file for reading: on disk, on an HTTP server, in a Blob or in memory. */
import { describe } from '../base/array.ts'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import { asBytes, asUrl, isBlob, readBlob } from '../base/realm.ts'
import { openFile } from './fileSource.ts'
import { openHttp } from './httpSource.ts'
import { checkRange, type Source } from './source.ts'

/**
 * A source of a checkpoint. A string that starts with http:// or https:// is a URL, any other
 * string is a path.
 */
export type SourceLike = string | URL | Blob | ArrayBuffer | Uint8Array

/**
 * Opens a path, URL, Blob or array of bytes for reading.
 * @param options.signal aborts opening and, for HTTP, every later request of this source
 * @throws TrecvitError if it is missing, empty, a directory, unreachable or not a `SourceLike`
 */
export async function openSource(
  from: SourceLike,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Source> {
  options.signal?.throwIfAborted()
  const source = await openAny(from, options.signal)
  if (source.size > 0) return source
  await source.close()
  throw new TrecvitError(
    `Checkpoint ${quote(source.name)} is empty (0 bytes): save or download it again`,
  )
}

async function openAny(from: SourceLike, signal: AbortSignal | undefined): Promise<Source> {
  if (typeof from === 'string') {
    return /^[a-z][a-z0-9+.-]*:\/\//i.test(from) ? openAny(parseUrl(from), signal) : openFile(from)
  }
  const url = asUrl(from)
  if (url) {
    if (url.protocol === 'http:' || url.protocol === 'https:') return openHttp(url, signal)
    if (url.protocol === 'file:') return openFile(url)
    throw new TrecvitError(
      `A checkpoint URL expected http:, https: or file:, got ${quote(url.protocol)}`,
    )
  }
  if (isBlob(from)) return openBlob(from)
  const bytes = asBytes(from)
  if (bytes) return openBytes(bytes, ArrayBuffer.isView(from) ? 'Uint8Array' : 'ArrayBuffer')
  throw new TrecvitError(
    `A checkpoint expected a path, URL, Blob, ArrayBuffer or Uint8Array, got ${describe(from)}`,
  )
}

function parseUrl(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw new TrecvitError(`URL ${quote(text)} is not valid`)
  }
}

function openBytes(bytes: Uint8Array, name: string): Source {
  return {
    name,
    size: bytes.length,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      into.set(bytes.subarray(offset, offset + into.length))
    },
    async close() {},
  }
}

function openBlob(blob: Blob): Source {
  return {
    name: 'name' in blob && typeof blob.name === 'string' ? blob.name : 'Blob',
    size: blob.size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      try {
        const bytes = await readBlob(blob, offset, offset + into.length)
        if (bytes.length < into.length) throw new Error(`only ${bytes.length} bytes came`)
        into.set(bytes)
      } catch (error) {
        // A File whose file on disk was changed or removed after it was chosen.
        throw new TrecvitError(
          `Checkpoint ${quote(this.name)} cannot be read any more: choose the file again`,
          { cause: error },
        )
      }
    },
    async close() {},
  }
}
