/**
 * Converts Node streams to web streams. Back-pressure: nothing is read before it is requested.
 */
import type { Readable } from 'node:stream'
import { cannotOpen } from '../../checkpoint/filePath.ts'
import { builtinModule } from '../../platform/platform.ts'

/** Returns the bytes of a stream. Cancelling destroys the stream. */
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
 * Opens a named pipe, even before a process writes to it. Returns null if the runtime reads only
 * files. A read of the pipe as a file would block a thread, and delay an abort and the end of the
 * process.
 * @throws TrecvitError if it cannot be opened
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
