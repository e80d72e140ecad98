import type { Config } from '../model/config.ts'
import type { LoadOptions } from '../model/options.ts'
import { TRecViT } from '../model/trecvit.ts'
import { encodeCheckpoint } from './checkpoint.ts'
import { initialise } from './initialise.ts'

/**
 * Returns a model with random parameters, drawn as the official code draws them.
 * @param options `seed`, an integer from 0 to 2³² − 1, and those of TRecViT.load
 * @throws TrecvitError if the configuration, the seed or an option is wrong
 * @example
 * const model = await createModel(configOf('Ti', { numClasses: 10 }), { seed: 1 })
 */
export async function createModel(
  config: Config,
  { seed, ...options }: LoadOptions & { readonly seed: number },
): Promise<TRecViT> {
  return TRecViT.load(await encodeCheckpoint(config, initialise(config, seed)), options)
}
