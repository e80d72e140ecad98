/** One WebSocket of a stream. It reports its end once, with a reason. */
import { messageOf } from '../base/error.ts'

/** `Uint8Array<ArrayBuffer>`, in words that TypeScript before 5.7 knows, too. */
type Bytes = ReturnType<Uint8ArrayConstructor['from']>

/** The part of a WebSocket that is used: of browsers, Node, Deno, Bun, and the package "ws". */
export interface WebSocketLike {
  /** Set to 'arraybuffer'. */
  binaryType: string
  /** Called when the connection is open. */
  onopen: ((event: never) => void) | null
  /** Called with each message. */
  onmessage: ((event: never) => void) | null
  /** Called at the end, with a close code. */
  onclose: ((event: never) => void) | null
  /** Called with an error, before `onclose`. */
  onerror: ((event: never) => void) | null
  /** Sends a message. */
  send(data: string | Bytes): void
  /** Closes the connection. */
  close(code?: number): void
}

/** A class of WebSockets. */
export type WebSocketClass = new (url: string) => WebSocketLike

/** Why a connection has ended. */
export interface Loss {
  readonly reason: string
  /** Whether the server has refused what this client sends, so that another attempt is useless. */
  readonly isRefusal: boolean
  /** Whether the server has sent a message before. */
  readonly wasOpen: boolean
}

/** A line of JSON from the server. */
export type Line = Readonly<Record<string, unknown>>

/** Receives the messages of a connection. */
export interface Receiver {
  /** Handles a line. Returns why it does not fit, or null. */
  receive(line: Line): string | null
  /** Whether the server owes a message. */
  readonly isWaiting: boolean
  lost(loss: Loss): void
}

/** Close codes: the client broke a rule of the server, or sent too much (RFC 6455, 7.4.1). */
const REFUSALS = [1008, 1009]

export class Connection {
  readonly #socket: WebSocketLike
  readonly #receiver: Receiver
  readonly #timeout: number
  #timer: ReturnType<typeof setTimeout> | undefined
  #error: string | undefined
  #wasOpen = false
  #ended = false

  /**
   * @param opening the first message
   * @param timeout milliseconds for the next message of the server, while it owes one
   */
  constructor(socket: WebSocketLike, opening: string, receiver: Receiver, timeout: number) {
    this.#socket = socket
    this.#receiver = receiver
    this.#timeout = timeout
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => socket.send(opening)
    socket.onmessage = ({ data }: { data: unknown }) => this.#receive(data)
    // The close event that follows is handled.
    socket.onerror = () => {}
    socket.onclose = ({ code }: { code: number }) =>
      this.#end(this.#error ?? `the connection was closed with code ${code}`, code)
    this.watch()
  }

  send(message: string | Bytes): void {
    this.#socket.send(message)
    this.watch()
  }

  /** Starts the timeout, if the server owes a message. */
  watch(): void {
    if (this.#timer !== undefined || !this.#receiver.isWaiting) return
    this.#timer = setTimeout(
      () => this.#end(`the server sent nothing for ${this.#timeout / 1000} s`),
      this.#timeout,
    )
  }

  /** Closes the connection without a report. */
  close(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    try {
      this.#socket.close(1000)
    } catch {
      // Some WebSockets refuse this while they connect; they then close by themselves.
    }
  }

  #receive(data: unknown): void {
    if (this.#ended) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    let line: Line
    try {
      line = JSON.parse(String(data)) as Line
    } catch (error) {
      return this.#end(`the server sent a line that is no JSON (${messageOf(error)})`)
    }
    this.#wasOpen = true
    const { error } = line
    if (typeof error === 'string') this.#error = error
    else {
      const fault = this.#receiver.receive(line)
      if (fault !== null) return this.#end(fault)
    }
    if (!this.#ended) this.watch()
  }

  #end(reason: string, code = 0): void {
    if (this.#ended) return
    this.close()
    const isRefusal = REFUSALS.includes(code)
    this.#receiver.lost({ reason, isRefusal, wasOpen: this.#wasOpen })
  }
}
