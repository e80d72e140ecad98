/**
 * Videos with random access: files, and servers that support Range requests.
 */
import { CustomSource } from 'mediabunny'
import { onAbort } from '../../base/abort.ts'
import { HEAD, type Media } from './media.ts'

/** Bytes of known size. */
export interface Bytes {
  /** The subject of messages. */
  readonly name: string
  readonly size: number
  /** Reads `length` bytes at `offset`. Both must be within the size. */
  read(offset: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

const CHUNK = 1 << 18

/** Returns the media of the bytes. They are closed at its end, and by an abort. */
export async function seekable(bytes: Bytes, signal: AbortSignal | undefined): Promise<Media> {
  const { name, size } = bytes
  let isClosed = false
  const close = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    ignoreAbort()
    await bytes.close()
  }
  const abandon = (): void => void close().catch(() => {})
  const ignoreAbort = onAbort(signal, abandon)
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    signal?.throwIfAborted()
    const fits = Math.min(length, size - offset)
    if (fits <= 0) return new Uint8Array(0)
    return bytes.read(offset, fits)
  }
  const stream = (): ReadableStream<Uint8Array> => {
    let at = 0
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      const chunk = await read(at, CHUNK)
      if (chunk.length > 0) controller.enqueue(chunk)
      at += chunk.length
      if (at < size) return
      controller.close()
      await close()
    }
    return new ReadableStream({ pull, cancel: close }, { highWaterMark: 0 })
  }
  const container = (): CustomSource =>
    new CustomSource({
      getSize: () => size,
      read: (start, end) => read(start, end - start),
      dispose: abandon,
      prefetchProfile: 'fileSystem',
      // An error of prefetching is reported again when the bytes are needed.
      handleUnhandledError() {},
    })
  try {
    return { name, size, head: await read(0, HEAD), read, stream: async () => stream(), container }
  } catch (error) {
    await close()
    throw error
  }
}
