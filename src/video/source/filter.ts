/**
 * Streams whose bytes are checked as they come.
 */
import { breathe } from '../../platform/platform.ts'

/** Milliseconds of work after which timers and aborts get their turn. */
const PAUSE = 8

/**
 * The bytes that a walk gives; nothing is read before it is asked for.
 * @param cancel ends the reading early
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
          await breathe()
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
