/**
 * Streams whose bytes are checked while they are read.
 */
import { yieldToEventLoop } from '../../platform/platform.ts'

/** Milliseconds of work before yielding to the event loop. */
const PAUSE = 8

/**
 * Returns the bytes of a generator as a stream. Nothing is read before it is requested.
 * @param cancel called when the reader cancels the stream
 */
export function streamOf(
  walk: AsyncIterator<Uint8Array, void>,
  cancel: () => Promise<void>,
): ReadableStream<Uint8Array> {
  let paused = performance.now()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (performance.now() - paused > PAUSE) {
          await yieldToEventLoop()
          paused = performance.now()
        }
        const { value, done } = await walk.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel,
    },
    { highWaterMark: 0 },
  )
}
