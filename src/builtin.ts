import { TrecvitError } from './base/error.ts'

/**
 * The built-in model. It is part of the code, loaded on demand, so that it is there in every
 * bundle, under every policy and without a network.
 * @throws TrecvitError where nothing may be imported on demand
 */
export async function openBuiltin(): Promise<Uint8Array> {
  const { default: motion } = await import('./motion.ts').catch((cause) => {
    throw new TrecvitError(
      'The built-in model cannot be imported on demand here: ' +
        'import "trecvit/motion" and load its bytes',
      { cause },
    )
  })
  return motion
}
