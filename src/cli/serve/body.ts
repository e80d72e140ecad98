/**
 * Reads the body of a request, with limits for size and time.
 */
import { HTTPException } from 'hono/http-exception'
import { quote } from '../../base/quote.ts'

/**
 * Yields the chunks of the body.
 * @param most largest size in bytes
 * @throws HTTPException 413 if the body is larger, 400 if it ends early, 415 if it is compressed
 * @throws the reason of the signal if it is aborted
 */
export async function* bodyParts(
  request: Request,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const tooLarge = (count: number, more: string) =>
    new HTTPException(413, {
      message:
        `The body expected at most ${most} bytes, got ${count}${more}; ` +
        'send fewer frames at once, or start the server with a larger "--max-body"',
    })
  const coding = request.headers.get('content-encoding') ?? 'identity'
  if (coding.trim().toLowerCase() !== 'identity')
    throw new HTTPException(415, {
      message: `"Content-Encoding" expected none, got ${quote(coding)}`,
    })
  const declared = Number(request.headers.get('content-length') ?? 0)
  if (declared > most) throw tooLarge(declared, '')
  if (!request.body) return

  let size = 0
  const late = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  )
  late.catch(() => {})
  // Not cancelled at an early end: the connection must stay open until the response is sent.
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await Promise.race([
      reader.read().catch((error: Error) => {
        throw new HTTPException(400, {
          message: `The body broke off after ${size} bytes`,
          cause: error,
        })
      }),
      late,
    ])
    if (done) return
    size += value.length
    if (size > most) throw tooLarge(size, ' and more')
    yield value
  }
}

/**
 * Reads the whole body.
 * @throws like `bodyParts`
 */
export async function readBody(
  request: Request,
  most: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of bodyParts(request, most, signal)) {
    parts.push(part)
    size += part.length
  }
  const body = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return body
}
