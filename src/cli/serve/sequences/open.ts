/** Opens the store of states that the options of the command name. */
import { note } from '../../terminal.ts'
import { MemoryStore } from './memoryStore.ts'
import type { StateOptions } from './options.ts'
import { Sequences } from './sequences.ts'
import type { StateStore } from './store.ts'

/** Timeout for saving the states of streams at the end of the server, in milliseconds. */
export const SAVE_TIMEOUT = 2000
/** Milliseconds to wait for a stream after the lease of its owner. */
const GRACE = 1000

/**
 * @param most largest number of states in memory that are not in use
 * @param onError called with unhandled errors
 * @throws TrecvitError if Redis cannot be reached or refuses the connection
 */
export async function openSequences(
  { state, stateDtype: dtype, stateLease }: StateOptions,
  most: number,
  onError: (error: unknown) => void,
): Promise<Sequences> {
  const lease = stateLease * 1000
  const store = state === undefined ? new MemoryStore(most) : await openRedis(state, lease)
  return new Sequences({ store, dtype, timeout: lease + GRACE, onError })
}

/** Its modules, and the package ioredis, are imported only with --state. */
async function openRedis(url: string, lease: number): Promise<StateStore> {
  const { checkRedisUrl } = await import('../../redis.ts')
  const { openRedisStore } = await import('./redisStore.ts')
  const onChange = (sentence: string): void => note(`trecvit: ${sentence}`)
  return openRedisStore({ url: checkRedisUrl('--state', url), lease, onChange })
}
