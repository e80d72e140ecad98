import { TrecvitError } from '../base/error.ts'
import type { RemoteAnswer } from './answer.ts'

/** A frame that the server may not have saved. */
interface Frame {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly resolve: (answer: RemoteAnswer) => void
  readonly reject: (error: unknown) => void
}

/** Frames on their way: sent, without an answer. Enough for 60 frames/s and 250 ms of latency. */
const WINDOW = 16

/**
 * The frames of a stream from the first that is not saved, and where they are:
 *
 *   first ≤ saved ≤ answered ≤ end: numbers since the start of the stream, for all connections
 *   next ≤ seen ≤ cursor ≤ end:     next frame to answer and to send, on this connection
 *
 * Frames between `seen` and `answered` were answered on an earlier connection. They are sent again,
 * so that the state of the server is complete, and their second answer is dropped.
 */
export class KeptFrames {
  readonly #maxFrames: number
  readonly #maxBytes: number
  readonly #frames: Frame[] = []
  #first = 0
  #bytes = 0
  #saved = 0
  #answered = 0
  #cursor = 0
  #seen = 0
  readonly #waiting: (() => void)[] = []
  #error: { readonly why: unknown } | undefined

  /** @param room largest number of frames and of their bytes */
  constructor(room: { readonly frames: number; readonly bytes: number }) {
    this.#maxFrames = room.frames
    this.#maxBytes = room.bytes
  }

  /** Number of the next frame to push. */
  get end(): number {
    return this.#first + this.#frames.length
  }

  /** Number of frames that are answered. */
  get answered(): number {
    return this.#answered
  }

  /** Number of frames that are saved. */
  get saved(): number {
    return this.#saved
  }

  /** Whether frames of this connection have no answer yet. */
  get isUnderWay(): boolean {
    return this.#seen < this.#cursor
  }

  /** Resolves when there is room for a frame, or the stream has failed. */
  async ready(): Promise<void> {
    while (!this.#error && this.#isFull)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /**
   * Adds a frame.
   * @throws TrecvitError if there is no room
   */
  push(bytes: Uint8Array<ArrayBuffer>): Promise<RemoteAnswer> {
    if (this.#error) throw this.#error.why
    if (this.#isFull)
      throw new TrecvitError(
        `The stream expected at most ${this.#maxFrames} frames and ${this.#maxBytes} bytes that ` +
          'are not saved yet; await "stream.ready" first',
      )
    return new Promise((resolve, reject) => {
      this.#frames.push({ bytes, resolve, reject })
      this.#bytes += bytes.length
    })
  }

  /**
   * Starts a connection to a server that has the first `next` frames.
   * @param isResumed whether the stream goes on where another client has left it
   * @returns why the stream cannot go on from there, or null
   */
  begin(next: number, isResumed: boolean): string | null {
    if (isResumed) this.#first = this.#answered = next
    if (next < this.#first)
      return `the servers have lost frames ${next} to ${this.#first - 1}, which were saved`
    if (next > this.#answered)
      return `the server has ${next} frames, and this client ${this.#answered} answers`
    this.#cursor = this.#seen = next
    this.save(next)
    return null
  }

  /** Returns the next frame to send, or null. */
  next(): Uint8Array<ArrayBuffer> | null {
    if (this.#cursor >= this.end || this.#cursor - this.#seen >= WINDOW) return null
    return this.#frames[this.#cursor++ - this.#first]!.bytes
  }

  /** Takes an answer. Returns why it does not fit, or null. */
  answer(answer: RemoteAnswer): string | null {
    const { frame } = answer
    if (frame !== this.#seen || frame >= this.#cursor)
      return `the server was to answer frame ${this.#seen}, and answered frame ${frame}`
    this.#seen++
    if (frame === this.#answered) {
      this.#frames[frame - this.#first]!.resolve(answer)
      this.#answered++
    }
    return null
  }

  /** Drops the frames before number `count`, which are saved. */
  save(count: number): void {
    this.#saved = Math.max(this.#saved, Math.min(count, this.#answered))
    const dropped = this.#frames.splice(0, this.#saved - this.#first)
    this.#first += dropped.length
    for (const { bytes } of dropped) this.#bytes -= bytes.length
    if (!this.#isFull) this.#wake()
  }

  /** Rejects the frames without an answer, and all later ones. */
  fail(why: unknown): void {
    this.#error = { why }
    for (const { reject } of this.#frames.splice(0).slice(this.#answered - this.#first)) reject(why)
    this.#wake()
  }

  get #isFull(): boolean {
    const { length } = this.#frames
    return length > 0 && (length >= this.#maxFrames || this.#bytes >= this.#maxBytes)
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
