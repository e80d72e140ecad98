/**
 * Opens a video from a path, URL, Blob, memory or stream. Formats are recognised by `head`, never
 * by a file name.
 */
import { BlobSource, BufferSource, CustomSource, ReadableStreamSource } from 'mediabunny'
import { onAbort } from '../../base/abort.ts'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { asBytes, asUrl, isBlob, isStream, readBlob } from '../../base/realm.ts'
import { cannotOpen, pathOf } from '../../checkpoint/filePath.ts'
import { show } from '../../checkpoint/httpRequest.ts'
import { requestFile } from '../../checkpoint/httpSource.ts'
import { checkedBody } from '../../checkpoint/httpWhole.ts'
import { builtinModule } from '../../platform/platform.ts'
import type { VideoSource } from '../choices.ts'
import { checkedMatroska } from '../matroska/stream.ts'
import { ByteReader } from './byteReader.ts'
import { fileBytes } from './fileBytes.ts'
import { capital, HEAD, type Media } from './media.ts'
import { openPipe } from './nodeStream.ts'
import { seekable } from './seekable.ts'
import { readPrefix, spool } from './spool.ts'

/** Whether the runtime has files, processes and native packages: Node, Deno and Bun. */
export function onServer(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string'
}

/** @throws TrecvitError if the source is missing, unreachable, empty or not supported */
export async function openMedia(
  source: VideoSource,
  signal: AbortSignal | undefined,
): Promise<Media> {
  const media = await openAny(source, signal)
  if (media.head.length === 0)
    throw new TrecvitError(`${capital(media.name)} is empty (0 bytes): save or download it again`)
  return media
}

async function openAny(source: VideoSource, signal: AbortSignal | undefined): Promise<Media> {
  if (typeof source === 'string') {
    if (onServer() && !/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return openPath(source, signal)
    const base = globalThis.location?.href
    if (!URL.canParse(source, base)) throw new TrecvitError(`${quote(source)} is not a valid URL`)
    return openAny(new URL(source, base), signal)
  }
  const address = asUrl(source)
  if (address) {
    if (address.protocol === 'file:') return openPath(pathOf(address), signal)
    return openUrl(address, signal)
  }
  if (isBlob(source)) {
    const head = await readBlob(source, 0, HEAD)
    // mediabunny rejects a Blob of jsdom or of another realm.
    const whole = source instanceof Blob && typeof source.stream === 'function'
    const read = (start: number, end: number) => readBlob(source, start, end)
    const name =
      'name' in source && typeof source.name === 'string' ? quote(source.name) : 'the Blob'
    return {
      name,
      head,
      size: source.size,
      read: (offset, length) => read(offset, offset + length),
      stream: async () => (whole ? source.stream() : oneChunk(await read(0, source.size))),
      container: () =>
        whole ? new BlobSource(source) : new CustomSource({ getSize: () => source.size, read }),
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
  if (isStream(source)) return openStream(source, 'the stream', signal)
  const kind = source === null ? 'null' : typeof source
  throw new TrecvitError(
    'A video is opened from a path, URL, Blob, ArrayBuffer, Uint8Array or ReadableStream, ' +
      `not from ${kind}`,
  )
}

async function openPath(path: string, signal: AbortSignal | undefined): Promise<Media> {
  const name = quote(path)
  const fs = builtinModule('node:fs/promises')!
  const refuse = (error: NodeJS.ErrnoException): never => {
    throw cannotOpen(path, error)
  }
  const isPipe = (await fs.stat(path).catch(refuse)).isFIFO()
  const pipe = isPipe ? openPipe(path) : null
  if (pipe !== null) return openStream(pipe, name, signal)
  const file = await fs.open(path, 'r').catch(refuse)
  const stat = await file.stat()
  if (stat.isFile()) {
    const media = await seekable(fileBytes(file, name, stat.size), signal)
    return { ...media, path: builtinModule('node:path')!.resolve(path) }
  }
  if (!stat.isDirectory()) return openStream(fileStream(file), name, signal)
  await file.close()
  throw new TrecvitError(`${name} is a directory: give the path of a video file`)
}

type FileHandle = Awaited<ReturnType<typeof import('node:fs/promises')['open']>>

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

/** Opens a pipe (standard input, <(command)). It can be read only once and in order. */
async function openStream(
  stream: ReadableStream<Uint8Array>,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Media> {
  const reader = new ByteReader(stream)
  // This also ends a pending read.
  const ignoreAbort = onAbort(signal, () => void reader.cancel())
  void reader.closed.then(ignoreAbort, ignoreAbort)
  const first = new Uint8Array(HEAD)
  const head = first.subarray(0, await reader.fill(first))
  const { bytes, isIndexLast } = await readPrefix(reader, head)
  signal?.throwIfAborted()
  if (isIndexLast) return spool(reader, bytes, name, signal)
  const whole = (): ReadableStream<Uint8Array> => reader.remainder(bytes)
  return {
    name,
    head,
    size: null,
    read: null,
    stream: async () => whole(),
    // An error of the stream occurs again at the next read.
    container: () =>
      new ReadableStreamSource(checkedMatroska(whole(), name), { handleUnhandledError() {} }),
  }
}

async function openUrl(url: URL, signal: AbortSignal | undefined): Promise<Media> {
  const name = show(url)
  if (!/^(https?|data|blob):$/.test(url.protocol)) {
    const place = `${url.protocol}//${url.host}${url.pathname}`
    const command = `ffmpeg -i ${place} -f yuv4mpegpipe - | trecvit stream -`
    throw new TrecvitError(
      `${quote(place)} is not read directly, only http:, https: and file: are: ` +
        `download it, or pipe it, ${command}`,
    )
  }
  const file = await requestFile(url, signal)
  if (file instanceof Response) return openStream(checkedBody(url, file, signal), name, signal)
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const into = new Uint8Array(length)
    await file.read(offset, into)
    return into
  }
  return seekable({ name, size: file.size, read, close: () => file.close() }, signal)
}

function oneChunk(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })
}
