/**
 * The whole body of a response, from a server without Range requests.
 */
import { TrecvitError } from '../base/error.ts'
import { BrokenConnection, fileNameOf, promisedSize, pull, show } from './httpRequest.ts'
import { checkRange, type Source } from './source.ts'

/** Bytes of a segment of a body in memory. */
const SEGMENT = 1 << 23
/** Bytes of the largest body in memory: the address space of WebAssembly. */
const MAX_WHOLE = 2 ** 32

/**
 * Reads the whole body into memory. Uses segments, because the length is known only at the end and
 * a single array would have to grow.
 * @throws TrecvitError if the body is larger than `limit` bytes or shorter than its declared size
 */
export async function readWhole(
  url: URL,
  response: Response,
  signal: AbortSignal | undefined,
  limit: number = MAX_WHOLE,
): Promise<Source> {
  const reader = checkedBody(url, response, signal).getReader()
  const segments: Uint8Array[] = []
  const check = async (size: number): Promise<void> => {
    if (size <= limit) return
    await reader.cancel()
    const reason = `has more than ${limit} bytes, and its server no Range requests`
    throw new TrecvitError(`${show(url)} ${reason}: download it, and give its path`)
  }
  await check(promisedSize(response) ?? 0)
  let size = 0
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    let bytes = part.value
    await check(size + bytes.length)
    while (bytes.length > 0) {
      const at = size % SEGMENT
      if (at === 0) segments.push(new Uint8Array(SEGMENT))
      const fits = bytes.subarray(0, SEGMENT - at)
      segments.at(-1)!.set(fits, at)
      size += fits.length
      bytes = bytes.subarray(fits.length)
    }
  }
  const source: Source = {
    name: fileNameOf(url),
    size,
    async read(offset, into) {
      checkRange(this, offset, into.length)
      for (let done = 0; done < into.length; ) {
        const at = (offset + done) % SEGMENT
        const part = segments[Math.floor((offset + done) / SEGMENT)]!.subarray(
          at,
          at + into.length - done,
        )
        into.set(part, done)
        done += part.length
      }
    },
    async close() {},
  }
  return source
}

/** Returns the body of a response. It fails if it ends before the declared size. */
export function checkedBody(
  url: URL,
  response: Response,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const reader = response.body!.getReader()
  const promised = promisedSize(response)
  let size = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await pull(reader, url, signal)
        if (bytes !== undefined) {
          size += bytes.length
          return controller.enqueue(bytes)
        }
        if (promised !== null && promised !== size) {
          const lack = `promised ${promised} bytes and sent ${size}`
          throw new BrokenConnection(`${show(url)} ${lack}: try again`)
        }
        controller.close()
      },
      cancel: (cause) => reader.cancel(cause),
    },
    { highWaterMark: 0 },
  )
}
