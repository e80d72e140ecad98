import { TrecvitError } from '../base/error.ts'
import { asBytes } from '../base/realm.ts'
import { answerOf, type RemoteAnswer } from './answer.ts'
import { pauseBefore } from './backoff.ts'
import { Connection, type Line, type Loss, type WebSocketLike } from './connection.ts'
import { Deferred } from './deferred.ts'
import { KeptFrames } from './kept.ts'
import { newKey } from './key.ts'
import { type RemoteStreamOptions, roomOf, TIMEOUT } from './options.ts'
import { answersOf } from './run.ts'

/** How a stream connects. */
export interface Dialler {
  open(): WebSocketLike
  /** Returns why the server refuses this client for good, or null. */
  probe(): Promise<string | null>
}

/**
 * A stream at a server, used like the stream of a model in this process. It reconnects, sends again
 * what the server has not saved, and gives each answer once, in order.
 *
 * A server writes a state only after this client has confirmed the answers before it. So the server
 * that goes on from there owes no earlier answer.
 * @example
 * const stream = client.openStream('builtin', { sequenceId: 'cam-7', width: 96, height: 96 })
 * for await (const { frame, label } of stream.run(frames)) console.log(frame, label)
 * await stream.end()
 */
export class RemoteStream {
  /** Resolves with the number of the first frame to push: 0, or where a resumed stream goes on. */
  readonly opened: Promise<number>
  readonly #options: RemoteStreamOptions
  readonly #dialler: Dialler
  /** Proves to another server that this is the client of the stream. */
  readonly #key = newKey()
  readonly #frames: KeptFrames
  #connection: Connection | undefined
  /** Whether a server has told how many frames it has: on this connection, and on any. */
  #isReady = false
  #wasOpened = false
  #connections = 0
  #failures = 0
  #lostAt = performance.now()
  #retry: ReturnType<typeof setTimeout> | undefined
  /** What to send once all frames are answered, and whether it was sent on this connection. */
  #goal: 'save' | 'sequence_end' | undefined
  #isGoalSent = false
  #wasEndSent = false
  #isClosed = false
  readonly #opened = new Deferred<number>()
  readonly #ended = new Deferred<void>()

  /** Use `client.openStream`. */
  constructor(options: RemoteStreamOptions, dialler: Dialler) {
    this.#options = options
    this.#dialler = dialler
    this.#frames = new KeptFrames(roomOf(options))
    this.opened = this.#opened.promise
    const { signal } = options
    signal?.addEventListener('abort', this.#abort, { once: true })
    if (signal?.aborted) this.#abort()
    else this.#connect()
  }

  /** Number of the next frame to push. */
  get frame(): number {
    return this.#frames.end
  }

  /** Number of frames that are saved: another server can go on after them. */
  get saved(): number {
    return this.#frames.saved
  }

  /** Number of connections so far. */
  get connections(): number {
    return this.#connections
  }

  /** Resolves when there is room for a frame: less than `maxFrames` and `maxBytes` are kept. */
  get ready(): Promise<void> {
    return this.#frames.ready()
  }

  /**
   * Pushes the next frame and returns its answer.
   * @param frame raw RGB of the size in the options, or a JPEG or PNG picture; it is copied
   * @throws TrecvitError if there is no room (await `ready` first), the stream was closed, or no
   * server could be reached within `retryTimeout`
   * @throws TrecvitError with the sentence of the server, if it refuses the frame
   */
  async push(frame: Uint8Array | Uint8ClampedArray | ArrayBuffer): Promise<RemoteAnswer> {
    const bytes = asBytes(frame)
    if (!bytes) throw new TrecvitError(`A frame expected a Uint8Array, got ${typeof frame}`)
    if (this.#goal) throw new TrecvitError('The stream was closed; open another one')
    const answer = this.#frames.push(new Uint8Array(bytes))
    this.#advance()
    return answer
  }

  /**
   * Pushes all frames of a source and yields their answers. A few frames are on their way at a
   * time. A frame is fetched only when there is room.
   * @throws TrecvitError as `push` does
   * @example
   * for await (const { frame, label } of stream.run(frames)) console.log(frame, label)
   */
  run(
    frames: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): AsyncGenerator<RemoteAnswer, void, undefined> {
    return answersOf(frames, async (frame) => {
      await this.ready
      return { answer: this.push(frame) }
    })
  }

  /**
   * Waits for all answers, then ends the stream: the server deletes its state.
   * @throws TrecvitError if no server could be reached within `retryTimeout`
   */
  end(): Promise<void> {
    return this.#finish('sequence_end')
  }

  /**
   * Waits for all answers and until the state is saved, then disconnects. Another client can go on
   * with `resume`.
   * @throws TrecvitError if no server could be reached within `retryTimeout`
   */
  close(): Promise<void> {
    return this.#finish('save')
  }

  #finish(goal: 'save' | 'sequence_end'): Promise<void> {
    this.#goal ??= goal
    this.#advance()
    return this.#ended.promise
  }

  #connect(): void {
    const { sequenceId, width, height, average, topK, resume, timeout = TIMEOUT } = this.#options
    const isStart = !this.#wasOpened && !resume
    const opening = {
      ...{ sequence_id: sequenceId, sequence_key: this.#key, width, height, topK },
      sequence_room: roomOf(this.#options),
      ...(isStart && { sequence_start: true, average }),
    }
    this.#isReady = this.#isGoalSent = false
    const stream = this
    let socket: WebSocketLike
    try {
      socket = this.#dialler.open()
    } catch (error) {
      return this.#fail(error)
    }
    const receiver = {
      receive: (line: Line) => stream.#receive(line),
      lost: (loss: Loss) => void stream.#lost(loss),
      get isWaiting() {
        return !stream.#isReady || stream.#frames.isUnderWay || stream.#isGoalSent
      },
    }
    this.#connection = new Connection(socket, JSON.stringify(opening), receiver, timeout)
  }

  /** Handles a line of the server. Returns why it does not fit, or null. */
  #receive(line: Line): string | null {
    const { next, saving, saved, ended } = line
    if (Number.isSafeInteger(next)) this.#begin(next as number)
    else if (!this.#isReady) return 'the server did not tell what it has'
    else if (Number.isSafeInteger(saving)) {
      this.#connection!.send(JSON.stringify({ answered: this.#frames.answered }))
    } else if (Number.isSafeInteger(saved)) this.#frames.save(saved as number)
    else if (ended !== undefined) this.#close()
    else {
      const answer = answerOf(line)
      const fault = answer ? this.#frames.answer(answer) : 'the server sent an unknown line'
      if (fault !== null) return fault
    }
    this.#advance()
    return null
  }

  #begin(next: number): void {
    const fault = this.#frames.begin(next, !this.#wasOpened && this.#options.resume === true)
    if (fault !== null) return this.#fail(this.#errorOf(fault))
    this.#isReady = this.#wasOpened = true
    this.#connections++
    this.#failures = 0
    this.#opened.resolve(next)
  }

  /** Sends what may be sent now. */
  #advance(): void {
    if (this.#isClosed) return
    const frames = this.#frames
    const isSaved = this.#wasOpened && frames.saved === frames.end
    if (this.#goal === 'save' && isSaved) return this.#close()
    if (!this.#isReady) return
    for (let frame = frames.next(); frame; frame = frames.next()) this.#connection!.send(frame)
    if (!this.#goal || frames.answered < frames.end || frames.isUnderWay) return
    if (this.#isGoalSent) return
    this.#isGoalSent = true
    this.#wasEndSent = this.#goal === 'sequence_end'
    this.#connection!.send(JSON.stringify({ [this.#goal]: true }))
  }

  async #lost({ reason, isRefusal, wasOpen }: Loss): Promise<void> {
    if (this.#isReady) this.#lostAt = performance.now()
    this.#isReady = false
    // The state was deleted, and only the message about it was lost.
    if (isRefusal && this.#wasEndSent) return this.#close()
    if (isRefusal) return this.#fail(this.#errorOf(reason))
    const refusal = wasOpen ? null : await this.#dialler.probe()
    if (this.#isClosed) return
    if (refusal !== null) return this.#fail(this.#errorOf(refusal))
    const { retryTimeout = 60_000 } = this.#options
    if (performance.now() - this.#lostAt > retryTimeout)
      return this.#fail(this.#errorOf(`no server for ${retryTimeout / 1000} s: ${reason}`))
    this.#retry = setTimeout(() => this.#connect(), pauseBefore(this.#failures++))
  }

  #errorOf(reason: string): TrecvitError {
    return new TrecvitError(`Stream ${JSON.stringify(this.#options.sequenceId)} failed: ${reason}`)
  }

  #close(): void {
    this.#stop()
    this.#frames.fail(new TrecvitError('The stream was closed; open another one'))
    this.#ended.resolve()
  }

  #fail(why: unknown): void {
    if (this.#isClosed) return
    this.#stop()
    this.#frames.fail(why)
    this.#opened.reject(why)
    this.#ended.reject(why)
  }

  readonly #abort = (): void => this.#fail(this.#options.signal!.reason)

  #stop(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#connection?.close()
    this.#options.signal?.removeEventListener('abort', this.#abort)
  }
}
