/**
 * Weights by name. Imported on demand: loading a file does not need this module.
 */
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'
import type { SourceLike } from '../checkpoint/openSource.ts'
import { builtinModule } from '../platform/platform.ts'
import type { Form } from './cache.ts'
import { addressOf, names, weightsNamed } from './known.ts'

/** Options for fetching weights. */
export interface WeightsOptions {
  /** Requested number format. A cached file in this format is used, too. */
  readonly dtype?: Form | undefined
  /** Called with the bytes downloaded and the size of the file. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Returns the source of the weights with a name: the bytes of the built-in model, a path, a File of
 * the origin private file system, or a URL if nothing can be stored. Downloads weights that are not
 * stored yet. Any other word is returned unchanged, as a path.
 * @throws TrecvitError if there are no weights and no file with this name, or the download fails
 */
export async function openWeights(word: string, options: WeightsOptions = {}): Promise<SourceLike> {
  if (word === 'builtin') return (await import('../motion.ts')).default
  const weights = weightsNamed(word)
  if (!weights) return openPath(word)
  const { dtype, signal } = options
  const onProgress = (done: number, total: number | null): void =>
    options.onProgress?.(done, Math.max(done, total ?? weights.bytes))
  if (builtinModule('node:fs/promises')) {
    const { findOrFetch } = await import('./fetch.ts')
    return findOrFetch(weights, dtype, { onProgress, signal })
  }
  const { fetchIntoPage, hasStore } = await import('./browserStore.ts')
  return hasStore() ? fetchIntoPage(weights, { onProgress, signal }) : addressOf(weights)
}

async function openPath(word: string): Promise<string> {
  const stat = await builtinModule('node:fs/promises')
    ?.stat(word)
    .catch(() => undefined)
  if (stat) return word
  throw new TrecvitError(
    `There is no file at ${quote(word)}, and no weights have this name: expected a path, a URL ` +
      `or one of ${names()}`,
  )
}
