/**
 * Streams of Node as those of the web, with back-pressure: nothing is read before it is asked for.
 */
import type { Readable } from 'node:stream'
import { cannotOpen } from '../../checkpoint/filePath.ts'
import { builtinModule } from '../../platform/platform.ts'

/** The bytes of a stream; a cancel destroys it. */
export function webStream(stream: Readable): ReadableStream<Uint8Array> {
  const iterator: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => void stream.destroy(),
    },
    { highWaterMark: 0 },
  )
}

/**
 * Opens a named pipe, whether somebody writes to it already or not. Null where only files can be
 * read: such a read blocks a thread, and with it an abort and the end of the process.
 * @throws TrecvitError when it cannot be opened
 */
export function openPipe(path: string): ReadableStream<Uint8Array> | null {
  const { platform, versions } = process
  if (platform !== 'linux' || versions['bun'] || versions['deno']) return null
  const { constants, openSync } = builtinModule('node:fs')!
  const { Socket } = builtinModule('node:net')!
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return webStream(new Socket({ fd, readable: true, writable: false }))
  } catch (error) {
    throw cannotOpen(path, error as NodeJS.ErrnoException)
  }
}
