/**
 * Weights by name for the commands: from the cache, or downloaded after confirmation.
 */
import { once } from 'node:events'
import { TrecvitError } from '../base/error.ts'
import type { Form } from '../weights/cache.ts'
import { addressOf, termsOf, type Weights, weightsNamed } from '../weights/known.ts'
import { showProgress } from './progress.ts'
import type { GlobalOptions } from './run.ts'
import { note } from './terminal.ts'

/** Options for a download. */
export interface DownloadOptions extends GlobalOptions {
  /** Without confirmation. */
  readonly yes?: boolean
}

/**
 * Resolves the name of weights to a path, and downloads them if they are not in the cache. Returns
 * anything else unchanged.
 * @param dtype number format that the file must support; any by default
 * @throws TrecvitError if the weights may not or cannot be downloaded
 */
export async function localSource(
  source: string,
  options: DownloadOptions,
  signal: AbortSignal,
  dtype?: Form,
): Promise<string> {
  const weights = weightsNamed(source)
  if (!weights) return source
  const { find } = await import('../weights/cache.ts')
  const there = await find(weights, dtype)
  if (there) return there.path
  if (!options.yes) await confirm(weights, signal)
  return downloadWeights(weights, options, signal)
}

/** Downloads weights into the cache with a progress bar. Returns their path. */
export async function downloadWeights(
  weights: Weights,
  options: GlobalOptions,
  signal: AbortSignal,
): Promise<string> {
  const { fetchWeights } = await import('../weights/fetch.ts')
  const { name, bytes } = weights
  if (!options.quiet)
    note(`Downloading "${name}" (${termsOf(weights)}) from ${addressOf(weights).host}`)
  const progress = await showProgress(options, `Downloading ${name}`, 'MB', bytes / 1e6)
  try {
    return await fetchWeights(weights, {
      signal,
      onProgress: (done, total) => progress.update(done / 1e6, (total ?? bytes) / 1e6),
    })
  } finally {
    progress.stop()
  }
}

/** @throws TrecvitError unless the user confirms at a terminal */
async function confirm(weights: Weights, signal: AbortSignal): Promise<void> {
  const { name } = weights
  const { host } = addressOf(weights)
  const advice = `run "trecvit pull ${name}" (${termsOf(weights)}, from ${host}), or add --yes`
  if (!(process.stdin.isTTY && process.stderr.isTTY))
    throw new TrecvitError(`The weights "${name}" are not on this machine yet: ${advice}`)
  const { cacheFolder } = await import('../weights/cache.ts')
  const { createInterface } = await import('node:readline/promises')
  // Not in terminal mode, which would intercept Ctrl-C.
  const prompt = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: false,
  })
  const place = await cacheFolder()
  const question = `Download "${name}" (${termsOf(weights)}) from ${host} to ${place}? [y/N] `
  const ended = once(prompt, 'close').then(() => '')
  const answer = await Promise.race([prompt.question(question, { signal }), ended])
  prompt.close()
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new TrecvitError(`The weights "${name}" were not downloaded: ${advice}`)
}
