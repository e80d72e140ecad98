/**
 * Connections to Redis, and its errors as one sentence each. A command waits for its first
 * connection only. Later losses are repaired: what was sent is sent again.
 */
import { Redis } from 'ioredis'
import { TrecvitError } from '../base/error.ts'
import { quote } from '../base/quote.ts'

/** Timeout of an attempt to connect, in milliseconds. */
const CONNECT_TIMEOUT = 10_000
/** Longest pause between two attempts to connect again, in milliseconds. */
const LONGEST_PAUSE = 1000

/** Message of ioredis for commands after the last attempt. */
const CLOSED = 'Connection is closed.'

/** Options of a connection. */
export interface RedisOptions {
  /** Attempts to connect again after a loss, one after a second at most. Default: no limit. */
  readonly attempts?: number
  /** Called with the server's address when the connection is lost, and when it is back. */
  readonly onChange?: (isConnected: boolean, host: string) => void
}

/**
 * Checks the address of a Redis server.
 * @param option name of the option, for the message
 * @throws TrecvitError unless it begins with redis:// or rediss://, and ends with a number, if any
 */
export function checkRedisUrl(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url && /^rediss?:$/.test(url.protocol) && url.hostname && /^\/?\d*$/.test(url.pathname))
    return text
  throw new TrecvitError(
    `"${option}" expected an address like redis://localhost:6379, or with a password and the ` +
      `number of a database redis://:password@host:6379/0, got ${quote(withoutPassword(text))}`,
  )
}

/**
 * Connects to a Redis server.
 * @throws TrecvitError if it cannot be reached or refuses the connection
 */
export async function openRedis(
  url: string,
  { attempts = Infinity, onChange }: RedisOptions = {},
): Promise<Redis> {
  let isOpen = false
  let last: Error | undefined
  const redis = new Redis(url, {
    lazyConnect: true,
    // Commands wait for the connection instead of failing.
    maxRetriesPerRequest: null,
    connectTimeout: CONNECT_TIMEOUT,
    retryStrategy: (times) =>
      isOpen && times <= attempts ? Math.min(50 * 2 ** times, LONGEST_PAUSE) : null,
    // A server that has just started again may still read its file.
    reconnectOnError: ({ message }) => message.startsWith('LOADING'),
  })
  redis.on('error', (error) => (last = error))
  try {
    await redis.connect()
    // The number of a database that does not exist is refused by an event only.
    if (last) throw last
    await redis.ping()
  } catch (error) {
    redis.disconnect()
    throw redisError(url, last ?? error)
  }
  isOpen = true
  let isLost = false
  redis.on('close', () => {
    if (isLost || redis.status === 'end') return
    isLost = true
    onChange?.(false, hostOf(url))
  })
  redis.on('ready', () => {
    if (!isLost) return
    isLost = false
    onChange?.(true, hostOf(url))
  })
  return redis
}

/** Whether Redis has refused a command because its memory is full. */
export function isFull(error: unknown): boolean {
  return error instanceof Error && /\bOOM\b/.test(error.message)
}

/** Whether an error is about the connection, which is repaired. */
export function isConnectionError(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException
  return /^E[A-Z_]+$/.test(code ?? '') || /^(Connection is closed|connect E|read E)/.test(message)
}

/** Returns an error of Redis as a sentence. Other errors are returned unchanged. */
export function redisError(url: string, error: unknown): unknown {
  if (error instanceof TrecvitError) return error
  const { code, message } = error as NodeJS.ErrnoException
  const sentence = sentenceOf(code ?? '', message)
  return sentence === null
    ? error
    : new TrecvitError(`Redis at ${hostOf(url)} ${sentence}`, { cause: error })
}

function sentenceOf(code: string, message: string): string | null {
  if (/^(WRONGPASS|NOAUTH|ERR (invalid password|AUTH))/.test(message)) {
    const advice = 'give it as redis://:password@host:port, or redis://user:password@host:port'
    return message.startsWith('NOAUTH')
      ? `needs a password (NOAUTH); ${advice}`
      : `refuses the password (${message.split(' ')[0]}); ${advice}`
  }
  if (/\bOOM\b/.test(message))
    return 'is full (OOM); raise its "maxmemory", or remove what is not needed'
  if (/^(READONLY|MISCONF)/.test(message))
    return `accepts no writes (${message.split(' ')[0]}); ask its administrator, or see its log`
  if (/DB index/.test(message)) return 'has no database of this number; give one from 0 to 15'
  if (message === CLOSED)
    return 'was lost and did not come back; what was stored is kept, so run the command again'
  if (/^E[A-Z_]+$/.test(code) || /timed? ?out|ETIMEDOUT/i.test(message)) {
    const advice = 'check its address, and that redis-server runs there'
    return `cannot be reached (${code || 'ETIMEDOUT'}); ${advice}`
  }
  return null
}

/** Returns host and port, without the password. */
function hostOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || 6379}`
}

function withoutPassword(text: string): string {
  return text.replace(/(:\/\/[^:@/]*):[^@]*@/, '$1:…@')
}
