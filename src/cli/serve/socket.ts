/**
 * A WebSocket as a channel: read only as fast as it is answered, and given up when the other side neither sends nor takes.
 */
import { on } from 'node:events'
import type { WebSocket } from 'ws'
import { TrecvitError } from '../../error.ts'
import type { Channel } from './follow.ts'

/** Messages that wait, whole, before the connection is read no further. */
const WAITING = 2
/** Milliseconds for the other side to say goodbye. */
const FAREWELL = 1000

export class Socket {
  readonly #webSocket: WebSocket
  readonly #timeout: number
  readonly #stop = new AbortController()
  #done: Promise<void> = Promise.resolve()
  #ending = false

  /** @param timeout milliseconds for the next message to come, and for a message to be taken */
  constructor(webSocket: WebSocket, timeout: number) {
    this.#webSocket = webSocket
    this.#timeout = timeout
    webSocket.binaryType = 'nodebuffer'
    // Closing says enough.
    webSocket.on('error', () => {})
  }

  /** Runs the work with the messages of the socket, says how it ended, and closes. */
  run(work: (channel: Channel) => Promise<void>, onError: (error: unknown) => void): Promise<void> {
    const messages = on(this.#webSocket, 'message', { close: ['close'], signal: this.#stop.signal, highWaterMark: WAITING, lowWaterMark: 1 }) as AsyncIterator<[data: Buffer, isBinary: boolean]>
    this.#done = (async () => {
      try {
        await work({ messages: this.#read(messages), send: (message) => this.#send(message), fail: (why) => this.#stop.abort(why) })
        await this.#close(this.#ending ? 1001 : 1000)
      } catch (error) {
        const expected = error instanceof TrecvitError
        if (!expected && this.#webSocket.readyState === this.#webSocket.OPEN) onError(error)
        await this.#send(JSON.stringify({ error: expected ? error.message : 'Something unexpected went wrong; the server has said more on its standard error' })).catch(() => {})
        await this.#close(expected ? 1008 : 1011)
      }
    })()
    return this.#done
  }

  /** Answers what has come, then closes. */
  end(): Promise<void> {
    this.#ending = true
    this.#stop.abort()
    return this.#done
  }

  async *#read(messages: AsyncIterator<[data: Buffer, isBinary: boolean]>): AsyncGenerator<string | Uint8Array> {
    const late = () => this.#stop.abort(new TrecvitError(`The stream expected a message within ${this.#timeout / 1000} s, got none; it can be resumed from a snapshot`))
    try {
      for (;;) {
        const timer = setTimeout(late, this.#timeout)
        const { done, value } = await messages.next().finally(() => clearTimeout(timer))
        if (done) return
        const [data, isBinary] = value
        yield isBinary ? data : data.toString()
      }
    } catch {
      // What breaks the rules of WebSockets (a message that is too large, text that is no UTF-8) has been closed with its code already.
      if (!this.#stop.signal.aborted || this.#ending) return
      throw this.#stop.signal.reason
    } finally {
      await messages.return?.()
    }
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
    return new Promise((resolve) => {
      if (webSocket.readyState === webSocket.CLOSED) return resolve()
      const timer = setTimeout(() => webSocket.terminate(), FAREWELL)
      webSocket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      webSocket.close(code)
    })
  }
}
