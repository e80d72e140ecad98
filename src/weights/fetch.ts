/**
 * Weights by name in Node, Deno and Bun, cached in the cache folder.
 */
import { pause } from '../base/abort.ts'
import { TrecvitError } from '../base/error.ts'
import { BrokenConnection } from '../checkpoint/httpRequest.ts'
import { cacheFolder, type Form, find, keep } from './cache.ts'
import { type DownloadOptions, download } from './download.ts'
import { addressOf, type Weights } from './known.ts'
import { claim, underWay } from './parts.ts'

/** Milliseconds between two checks of a download by another process. */
const WAIT = 500

/** Returns the path of a file for a number format: see `find` and `fetchWeights`. */
export async function findOrFetch(
  weights: Weights,
  dtype: Form | undefined,
  options: DownloadOptions,
): Promise<string> {
  return (await find(weights, dtype))?.path ?? fetchWeights(weights, options)
}

/**
 * Returns the path of the float32 file in the cache. Downloads the file if it is missing, or waits
 * if another process is downloading it.
 * @throws TrecvitError if it cannot be downloaded or stored; a later call resumes the download
 */
export async function fetchWeights(
  weights: Weights,
  { onProgress, signal, ...rest }: DownloadOptions = {},
): Promise<string> {
  for (;;) {
    signal?.throwIfAborted()
    const there = await find(weights, 'f32')
    if (there) return there.path
    const done = await underWay(weights)
    if (done === undefined) break
    onProgress?.(done, null)
    await pause(WAIT, signal)
  }
  const part = await claim(weights)
  try {
    const { url } = await download(addressOf(weights), part, { onProgress, signal, ...rest })
    const place = await keep(weights, part.data, url)
    await part.remove()
    return place
  } catch (error) {
    await part.release()
    throw error instanceof BrokenConnection ? await explained(weights, error) : error
  }
}

/** Adds to the error how to copy weights to a machine without a network. */
async function explained({ name, file }: Weights, error: BrokenConnection): Promise<TrecvitError> {
  const place = await cacheFolder()
  return new TrecvitError(
    `Weights "${name}" could not be downloaded: ${error.message}; without a network, ` +
      `copy ${file} ` +
      `into ${place}`,
    { cause: error },
  )
}
