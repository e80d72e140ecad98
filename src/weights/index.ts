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
  /** Number format that is wanted: a file in this format serves it, too. */
  readonly dtype?: Form | undefined
  /** Bytes downloaded, and of the whole file. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Returns where the weights of a name are: the bytes of the built-in model, a path, a File of the
 * origin private file system, or an address where nothing can be stored. Downloads weights that are
 * not stored yet. A word that is no name is returned as the path that it is.
 * @throws TrecvitError if there are neither weights nor a file of this name, or the download fails
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
