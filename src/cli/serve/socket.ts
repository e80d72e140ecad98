/**
 * A WebSocket as a channel. Waiting messages are limited in bytes and number. At the limit, the
 * connection is not read until messages are processed (back-pressure). Pings are answered at once
 * while the connection is read. A client that neither sends nor receives is disconnected.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> reading
 *   reading --> paused: too much waits
 *   paused --> reading: half of it is answered
 *   reading --> draining: the server ends
 *   paused --> draining: the server ends
 *   draining --> closed: all is answered, or the time is over
 *   reading --> closed: the client leaves, or a message does not fit
 * ```
 */
import type { WebSocket } from 'ws'
import { TrecvitError } from '../../base/error.ts'
import { yieldToEventLoop } from '../../platform/platform.ts'
import type { Channel } from './follow.ts'
import { UnavailableError } from './health.ts'
import { TooLarge } from './opening.ts'
import type { ReadAhead } from './readAhead.ts'

/** Largest number of waiting messages of one socket. */
const MAX_WAITING = 1024
/** Number of messages that each socket may always hold, even if others use all memory. */
const MIN_WAITING = 2
/** Timeout of the closing handshake in milliseconds. */
const CLOSE_TIMEOUT = 1000
/** Close codes of WebSockets (RFC 6455, section 7.4.1). */
const CODE = { done: 1000, away: 1001, policy: 1008, tooLarge: 1009, internal: 1011 } as const

/** Message to the client about an unhandled error. Details are only in the log. */
export const UNEXPECTED = 'Unexpected error; the server printed details to its standard error'

/** The client has paused. With an id it may connect again, and send what is not saved. */
class PausedError extends TrecvitError {}

function codeOf(error: unknown): number {
  if (error instanceof TooLarge) return CODE.tooLarge
  if (error instanceof PausedError) return CODE.away
  return error instanceof TrecvitError ? CODE.policy : CODE.internal
}

/** Lets a busy process read connections first: the event loop runs timers before it reads. */
async function readOnce(): Promise<void> {
  await yieldToEventLoop()
  await yieldToEventLoop()
}

export class Socket {
  readonly #webSocket: WebSocket
  readonly #timeout: number
  readonly #readAhead: ReadAhead
  readonly #waiting: (string | Buffer)[] = []
  #dropped = 0
  #newestOnly = false
  /** Set when reading has ended without an error of the server. */
  #end: 'closed' | 'shutdown' | undefined
  #failure: unknown
  #wake: () => void = () => {}
  #done: Promise<void> = Promise.resolve()
  /** The latest ping that arrived while an earlier pong was being written. */
  #ping: Buffer | undefined
  #isReplying = false

  /** @param timeout milliseconds to receive the next message, and to send a message */
  constructor(webSocket: WebSocket, timeout: number, readAhead: ReadAhead) {
    this.#webSocket = webSocket
    this.#timeout = timeout
    this.#readAhead = readAhead
    webSocket.binaryType = 'nodebuffer'
    webSocket.on('message', (data: Buffer, isBinary) => {
      this.#take(isBinary ? data : data.toString())
    })
    webSocket.on('ping', (data) => this.#pong(data))
    webSocket.on('close', () => this.#finish('closed'))
    // The close event that follows is handled.
    webSocket.on('error', () => {})
  }

  /** Runs work with the messages of the socket. Sends its error, if any, then closes the socket. */
  run(work: (channel: Channel) => Promise<void>, onError: (error: unknown) => void): Promise<void> {
    this.#done = (async () => {
      try {
        await work(this.#channel())
        await this.#close(this.#end === 'shutdown' ? CODE.away : CODE.done)
      } catch (error) {
        const known = error instanceof TrecvitError || error instanceof UnavailableError
        if (!known && this.#webSocket.readyState === this.#webSocket.OPEN) onError(error)
        const message = known ? error.message : UNEXPECTED
        await this.#send(JSON.stringify({ error: message })).catch(() => {})
        await this.#close(codeOf(error))
      }
    })()
    return this.#done
  }

  /** Processes the messages that have arrived, within the timeout, then closes the socket. */
  async end(): Promise<void> {
    await readOnce()
    this.#finish('shutdown')
    const late = setTimeout(() => this.#drop(), this.#timeout)
    const tooLate = setTimeout(() => this.#webSocket.terminate(), this.#timeout + CLOSE_TIMEOUT)
    await this.#done
    clearTimeout(late)
    clearTimeout(tooLate)
  }

  #channel(): Channel {
    const socket = this
    return {
      messages: this.#read(),
      send: (message) => this.#send(message),
      fail: (why) => {
        this.#failure ??= why
        this.#wake()
      },
      keepNewest: () => {
        this.#newestOnly = true
        const waiting = this.#waiting.slice()
        this.#drop()
        for (const message of waiting) this.#add(message)
      },
      get dropped() {
        return socket.#dropped
      },
    }
  }

  #take(message: string | Buffer): void {
    if (this.#end) return
    this.#add(message)
    this.#flow()
    this.#wake()
  }

  #add(message: string | Buffer): void {
    const last = this.#waiting.at(-1)
    if (this.#newestOnly && last instanceof Buffer && message instanceof Buffer) {
      this.#readAhead.bytes -= last.length
      this.#waiting.pop()
      this.#dropped++
    }
    this.#readAhead.bytes += message.length
    this.#waiting.push(message)
  }

  /** Stops reading at the limit of waiting messages. Resumes at half of it. */
  #flow(): void {
    const { length } = this.#waiting
    const fill = length < MIN_WAITING ? 0 : Math.max(this.#readAhead.fill, length / MAX_WAITING)
    if (fill >= 1) this.#webSocket.pause()
    else if (fill <= 0.5) this.#webSocket.resume()
  }

  #finish(why: 'closed' | 'shutdown'): void {
    this.#end ??= why
    // The client has left, so nobody would receive the results.
    if (why === 'closed') this.#drop()
    this.#wake()
  }

  #drop(): void {
    for (const { length } of this.#waiting.splice(0)) this.#readAhead.bytes -= length
  }

  async *#read(): AsyncGenerator<string | Uint8Array> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const message = this.#waiting.shift()
      if (message !== undefined) {
        this.#readAhead.bytes -= message.length
        this.#flow()
        yield message
      } else if (this.#end) return
      else await this.#next()
    }
  }

  /** Waits for a message, the end or a failure. A timeout is a failure. */
  #next(): Promise<void> {
    return new Promise((resolve) => {
      let isOver = false
      const timer = setTimeout(async () => {
        await readOnce()
        if (isOver) return
        const seconds = this.#timeout / 1000
        this.#failure ??= new PausedError(
          `The stream expected a message within ${seconds} s, ` +
            'got none; it can be resumed from a snapshot',
        )
        resolve()
      }, this.#timeout)
      this.#wake = () => {
        isOver = true
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Answers a ping. While a pong is written, only the latest ping is kept (RFC 6455, 5.5.3). */
  #pong(data: Buffer): void {
    if (this.#isReplying) {
      this.#ping = data
      return
    }
    this.#isReplying = true
    this.#webSocket.pong(data, false, () => {
      this.#isReplying = false
      const next = this.#ping
      this.#ping = undefined
      if (next) this.#pong(next)
    })
  }

  #send(message: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#webSocket.terminate(), this.#timeout)
      this.#webSocket.send(message, (error) => {
        clearTimeout(timer)
        if (error) reject(error)
        else resolve()
      })
    })
  }

  #close(code: number): Promise<void> {
    const webSocket = this.#webSocket
    this.#end ??= 'closed'
    return new Promise((resolve) => {
      if (webSocket.readyState === webSocket.CLOSED) return resolve()
      this.#drop()
      // A paused connection would not receive the close frame of the client.
      webSocket.resume()
      const timer = setTimeout(() => webSocket.terminate(), CLOSE_TIMEOUT)
      webSocket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      webSocket.close(code)
    })
  }
}
