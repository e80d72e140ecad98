/**
 * Where a video comes from: a path, an address, a Blob, memory or a stream. Formats are recognised by `head`, never by a name.
 */
import { BlobSource, BufferSource, CustomSource, FilePathSource, ReadableStreamSource, UrlSource, type Source } from 'mediabunny'
import { quote } from '../checkpoint/quote.ts'
import { TrecvitError } from '../error.ts'
import { builtinModule } from '../platform/platform.ts'
import { asBytes, asUrl, isBlob, isStream, readBlob } from '../realm.ts'
import { ByteReader } from './byteReader.ts'

/** One file or stream that can be opened as a video. */
export type VideoSource = string | URL | Blob | ArrayBuffer | Uint8Array | ReadableStream<Uint8Array>

/** A source whose first bytes were read. Only one of `stream` and `container` may be called, once. */
export interface Media {
  /** Quoted, or "the stream" and the like: the subject of messages. */
  readonly name: string
  /** The first bytes, up to 64. */
  readonly head: Uint8Array
  /** All bytes in order. */
  stream(): Promise<ReadableStream<Uint8Array>>
  /** The same for mediabunny, which reads at any offset where the source can. */
  container(): Source
  /** Bytes, where known without reading to the end. */
  readonly size: number | null
  /** The bytes from an offset on, fewer at the end; null where only `stream` reads. */
  readonly read: ((offset: number, length: number) => Promise<Uint8Array>) | null
}

/** Enough for every format's magic. */
const HEAD = 64

/** True where files, processes and native packages exist: Node, Deno and Bun. */
export function onServer(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string'
}

/**
 * @throws TrecvitError when the source is missing, out of reach, empty or of no kind that can be read
 */
export async function openMedia(source: VideoSource, signal: AbortSignal | undefined): Promise<Media> {
  const media = await openAny(source, signal)
  if (media.head.length === 0) throw new TrecvitError(`${capital(media.name)} is empty (0 bytes): save or download it again`)
  return media
}

/** A name at the start of a sentence. */
export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

async function openAny(source: VideoSource, signal: AbortSignal | undefined): Promise<Media> {
  if (typeof source === 'string') {
    if (onServer() && !/^(https?|file):\/\//i.test(source)) return openPath(source)
    const base = globalThis.location?.href
    if (!URL.canParse(source, base)) throw new TrecvitError(`${quote(source)} is not a valid URL`)
    return openAny(new URL(source, base), signal)
  }
  const address = asUrl(source)
  if (address) {
    if (address.protocol !== 'file:') return openUrl(address, signal)
    const url = builtinModule('node:url')
    if (!url) throw new TrecvitError(`${quote(address.href)} cannot be opened, because this runtime has no file system: pass a Blob`)
    return openPath(url.fileURLToPath(address))
  }
  if (isBlob(source)) {
    const head = await readBlob(source, 0, HEAD)
    // The Blob of jsdom, or of another realm, is none to mediabunny.
    const whole = source instanceof Blob && typeof source.stream === 'function'
    const read = (start: number, end: number) => readBlob(source, start, end)
    const name = 'name' in source && typeof source.name === 'string' ? quote(source.name) : 'the Blob'
    return {
      name,
      head,
      size: source.size,
      read: (offset, length) => read(offset, offset + length),
      stream: async () => (whole ? source.stream() : oneChunk(await read(0, source.size))),
      container: () => (whole ? new BlobSource(source) : new CustomSource({ getSize: () => source.size, read })),
    }
  }
  const bytes = asBytes(source)
  if (bytes) {
    return {
      name: 'the video in memory',
      head: bytes.slice(0, HEAD),
      size: bytes.length,
      read: async (offset, length) => bytes.subarray(offset, offset + length),
      stream: async () => oneChunk(bytes),
      container: () => new BufferSource(bytes),
    }
  }
  if (isStream(source)) return openStream(source, 'the stream')
  const kind = source === null ? 'null' : typeof source
  throw new TrecvitError(`A video is opened from a path, URL, Blob, ArrayBuffer, Uint8Array or ReadableStream, not from ${kind}`)
}

async function openPath(path: string): Promise<Media> {
  const name = quote(path)
  const fs = builtinModule('node:fs/promises')!
  const open = (): Promise<FileHandle> =>
    fs.open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new TrecvitError(`There is no file at ${name}`)
      throw new TrecvitError(`The file at ${name} cannot be opened (${error.code ?? error.message})`, { cause: error })
    })
  const file = await open()
  const stat = await file.stat()
  if (stat.isDirectory()) {
    await file.close()
    throw new TrecvitError(`${name} is a directory: give the path of a video file`)
  }
  // A pipe (<(command), /dev/stdin) can be read once and only in order.
  if (!stat.isFile()) return openStream(fileStream(file), name)
  await file.close()
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const file = await open()
    try {
      const { buffer, bytesRead } = await file.read(new Uint8Array(Math.min(length, Math.max(0, stat.size - offset))), 0, null, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }
  return {
    name,
    head: await read(0, HEAD),
    size: stat.size,
    read,
    stream: async () => fileStream(await open()),
    container: () => new FilePathSource(path),
  }
}

type FileHandle = Awaited<ReturnType<(typeof import('node:fs/promises'))['open']>>

function fileStream(file: FileHandle): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = new Uint8Array(1 << 18)
        const { bytesRead } = await file.read(chunk, 0, chunk.length, null)
        if (bytesRead > 0) return controller.enqueue(chunk.subarray(0, bytesRead))
        controller.close()
        await file.close()
      },
      cancel: () => file.close(),
    },
    { highWaterMark: 0 },
  )
}

async function openStream(stream: ReadableStream<Uint8Array>, name: string): Promise<Media> {
  const reader = new ByteReader(stream)
  const head = new Uint8Array(HEAD)
  const got = head.subarray(0, await reader.fill(head))
  const whole = (): ReadableStream<Uint8Array> => reader.remainder(got)
  return { name, head: got, size: null, read: null, stream: async () => whole(), container: () => new ReadableStreamSource(whole()) }
}

async function openUrl(url: URL, signal: AbortSignal | undefined): Promise<Media> {
  // Without user name and query: signed addresses carry secrets there.
  const name = quote(url.origin === 'null' ? url.href.slice(0, 40) : url.origin + url.pathname)
  const get = async (headers: Record<string, string>): Promise<ReadableStream<Uint8Array>> => {
    const response = await fetch(url, { headers, ...(signal && { signal }) }).catch((error: Error) => {
      signal?.throwIfAborted()
      const reason = error.cause instanceof Error ? error.cause.message : error.message
      throw new TrecvitError(`${name} cannot be reached (${reason})`, { cause: error })
    })
    // An empty file has no first byte.
    if (response.status === 416) throw new TrecvitError(`${name} is empty (0 bytes): save or download it again`)
    if (!response.ok || response.body === null) throw new TrecvitError(`${name} answered with HTTP ${response.status} ${response.statusText}`.trimEnd())
    return response.body
  }
  const reader = new ByteReader(await get({ Range: `bytes=0-${HEAD - 1}` }))
  const head = new Uint8Array(HEAD)
  const got = await reader.fill(head)
  await reader.cancel()
  return {
    name,
    head: head.subarray(0, got),
    size: null,
    read: null,
    stream: () => get({}),
    // mediabunny would try for ever.
    container: () => new UrlSource(url, { getRetryDelay: (attempts) => (attempts < 3 ? 0.25 * 2 ** attempts : null) }),
  }
}

function oneChunk(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })
}
