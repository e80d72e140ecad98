/** Identifies the content of a video, so that the same video is computed once. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { TrecvitError } from '../../base/error.ts'
import { quote } from '../../base/quote.ts'
import { listImages } from '../../video/picture/imageList.ts'

/** Timeout for the headers of a URL, in milliseconds. */
const TIMEOUT = 10_000

/**
 * Returns a text that is the same for the same content: size and SHA-256 of a file, of all pictures
 * in a folder, or a URL with its ETag or date.
 * @throws TrecvitError if a file cannot be read
 */
export async function contentOf(source: string, signal: AbortSignal): Promise<string> {
  if (/^https?:\/\//i.test(source)) return `${source} ${await versionOf(source, signal)}`
  const files = (await listImages(source)) ?? [source]
  const hash = createHash('sha256')
  let size = 0
  for (const file of files) {
    const chunks = createReadStream(file, { signal }) as AsyncIterable<Buffer>
    try {
      for await (const chunk of chunks) {
        hash.update(chunk)
        size += chunk.length
      }
    } catch (error) {
      signal.throwIfAborted()
      const { code, message } = error as NodeJS.ErrnoException
      throw new TrecvitError(`${quote(file)} cannot be read (${code ?? message})`, { cause: error })
    }
  }
  return `${size} ${hash.digest('hex')}`
}

/** Returns the ETag or the date of a URL; empty if its server gives none. */
async function versionOf(url: string, signal: AbortSignal): Promise<string> {
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)])
  const response = await fetch(url, { method: 'HEAD', signal: timeout }).catch(() => null)
  signal.throwIfAborted()
  return response?.headers.get('etag') ?? response?.headers.get('last-modified') ?? ''
}
