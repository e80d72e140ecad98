import { notImported } from './base/notImported.ts'
import type { SourceLike } from './checkpoint/openSource.ts'
import type { WeightsOptions } from './weights/index.ts'

/**
 * Resolves a name of weights, as "builtin", to their location. Anything else is returned unchanged.
 * The table of names is imported on demand.
 * @throws TrecvitError where nothing may be imported on demand, or if the download fails
 */
export async function openNamed(source: SourceLike, options: WeightsOptions): Promise<SourceLike> {
  if (typeof source !== 'string' || !/^\w+$/.test(source)) return source
  const { openWeights } = await import('./weights/index.ts').catch(
    notImported(`"${source}"`, 'load the bytes of a file, or those of "trecvit/motion"'),
  )
  return openWeights(source, options)
}
