/**
 * States of streams in Redis, where every server finds them. One hash holds one stream. Each server
 * has a lease that it renews; if the lease ends, its streams are free. Scripts check the token of
 * the owner and write in one step.
 */
import { randomUUID } from 'node:crypto'
import { openRedis, redisError } from '../../redis.ts'
import { UnavailableError } from '../health.ts'
import { type Claim, type Owned, type Refusal, type StateStore, TakenOverError } from './store.ts'

/** Milliseconds after the last save for which a state is kept: a day. */
const KEPT = 86_400_000

/** KEYS: stream. ARGV: owner, token, key, whether to start, fingerprint, KEPT. */
const OPEN = `
local owner, key, model, token = unpack(
  redis.call('HMGET', KEYS[1], 'owner', 'key', 'model', 'token'))
-- With its own token, this is the same call again, after a connection that broke.
local mine = (ARGV[3] ~= '' and key == ARGV[3]) or token == ARGV[2]
if owner and owner ~= '' and not mine then
  local left = redis.call('PTTL', 'trecvit:server:' .. owner)
  if left > 0 then return {'held', left} end
end
local saved = redis.call('HEXISTS', KEYS[1], 'state') == 1
if saved and (mine or ARGV[4] == '') then
  if model ~= ARGV[5] then return {'model', model} end
elseif ARGV[4] == '' then return {'unknown'}
else redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', ARGV[2], 'key', ARGV[3], 'model', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {'open', unpack(redis.call('HMGET', KEYS[1], 'frame', 'state'))}
`

const IF_OWNED = "if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end"

/** KEYS: stream. ARGV: token, frame, state, KEPT. */
const SAVE = `${IF_OWNED}
redis.call('HSET', KEYS[1], 'frame', ARGV[2], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`

/** KEYS: stream. ARGV: token. */
const RELEASE = `${IF_OWNED}
redis.call('HDEL', KEYS[1], 'owner', 'token')
return 1
`

/** KEYS: stream. ARGV: token. */
const END = `${IF_OWNED}
return redis.call('DEL', KEYS[1])
`

/** Options of the store. */
export interface RedisStoreOptions {
  readonly url: string
  /** Milliseconds after which the streams of a server that is lost are free. */
  readonly lease: number
  /** Called with a sentence when the connection is lost, and when it is back. */
  readonly onChange: (sentence: string) => void
}

/**
 * Opens the store.
 * @throws TrecvitError if Redis cannot be reached or refuses the connection
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<StateStore> {
  const { url, lease, onChange } = options
  const server = randomUUID()
  const serverKey = `trecvit:server:${server}`
  let isUp = true
  const redis = await openRedis(url, {
    onChange: (isConnected, host) => {
      isUp = isConnected
      onChange(
        isConnected
          ? `Redis at ${host} is back; states of streams are saved again`
          : `Redis at ${host} is lost; frames are answered, and no state is saved until it is back`,
      )
    },
  })

  /** @throws UnavailableError instead of an error of Redis */
  async function call<T>(work: Promise<unknown>): Promise<T> {
    try {
      return (await work) as T
    } catch (cause) {
      const { message } = redisError(url, cause) as Error
      throw new UnavailableError(message, { cause })
    }
  }
  const renew = () => call(redis.set(serverKey, '', 'PX', lease))
  await renew()
  let isRenewing = false
  const timer = setInterval(() => {
    // Commands wait for a connection that is lost, so they must not pile up.
    if (isRenewing) return
    isRenewing = true
    renew()
      .catch(() => {})
      .finally(() => (isRenewing = false))
  }, lease / 3)

  return {
    isShared: true,
    get isUp() {
      return isUp
    },
    async open({ model, fingerprint, id, key, start }: Claim): Promise<Owned | Refusal> {
      const name = `trecvit:stream:${model}:${id}`
      const token = randomUUID()
      const [outcome, value, state] = await call<[Buffer, Buffer | number | null, Buffer | null]>(
        redis.callBuffer(
          'EVAL',
          OPEN,
          1,
          name,
          server,
          token,
          key,
          start ? 1 : '',
          fingerprint,
          KEPT,
        ),
      )
      if (String(outcome) === 'held') return { heldFor: Number(value) }
      if (String(outcome) === 'unknown') return 'unknown'
      if (String(outcome) === 'model') return { fingerprint: String(value) }
      const own = async (work: Promise<unknown>): Promise<void> => {
        if ((await call(work)) === 0) throw new TakenOverError(id)
      }
      return {
        frame: Number(value ?? 0),
        state,
        save: (frame, state) => own(redis.eval(SAVE, 1, name, token, frame, asBuffer(state), KEPT)),
        release: () => own(redis.eval(RELEASE, 1, name, token)),
        end: () => own(redis.eval(END, 1, name, token)),
      }
    },
    async close() {
      clearInterval(timer)
      if (isUp) await redis.del(serverKey).catch(() => {})
      redis.disconnect()
    },
  }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
