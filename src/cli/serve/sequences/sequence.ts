/**
 * A stream with an id, owned by this connection. Its state is saved in three steps, while frames go
 * on:
 *
 *   1. the server takes a snapshot after n frames, and sends {"saving":n}
 *   2. the client answers {"answered":n} when it has the answers of these frames
 *   3. the server writes the snapshot, and sends {"saved":n}: the client may forget the frames
 *
 * Without step 2 a server that takes over could begin after an answer that was lost on its way.
 */
import { TrecvitError } from '../../../base/error.ts'
import type { ClassStream } from '../../../model/classStream.ts'
import type { StateDType } from '../../../stream/snapshotHeader.ts'
import { isInteger, shown } from '../json.ts'
import type { Counts } from './counts.ts'
import type { Pace, Reason, Room } from './pace.ts'
import { type Owned, TakenOverError } from './store.ts'

/** Milliseconds after which a save that failed is tried again. */
const RETRY = 1000

/** What the sequences of a model share. */
export interface SequenceShared {
  readonly pace: Pace
  readonly dtype: StateDType
  readonly counts: Counts
}

/** The connection of a sequence. */
export interface Client {
  /** Sends a line after the answers of the frames so far. */
  send(line: object): void
  /** Ends the connection with an error. */
  fail(why: unknown): void
}

/** A save under way. */
interface Saving {
  readonly frame: number
  readonly reason: Reason
  readonly snapshot: Promise<{ readonly bytes: Uint8Array; readonly milliseconds: number }>
  isConfirmed: boolean
}

export class Sequence {
  readonly stream: ClassStream
  readonly #owned: Owned
  readonly #shared: SequenceShared
  readonly #client: Client
  readonly #room: Room
  /** Number of frames that were pushed, that the latest snapshot contains, and that are saved. */
  #frame: number
  #begun: number
  #saved: number
  #bytes = 0
  #saving: Saving | undefined
  /** Reason to save again after the save under way. */
  #next: Reason | undefined
  #retry: ReturnType<typeof setTimeout> | undefined
  #isOver = false
  readonly #flushing: { readonly frame: number; readonly done: () => void }[] = []

  /** @param room frames that the client can keep until they are saved */
  constructor(
    stream: ClassStream,
    owned: Owned,
    shared: SequenceShared,
    client: Client,
    room: Room,
  ) {
    this.stream = stream
    this.#owned = owned
    this.#shared = shared
    this.#client = client
    this.#room = room
    this.#frame = this.#begun = this.#saved = owned.frame
  }

  /** Counts a frame that was pushed, and saves the state if it is due. */
  pushed(bytes: number): void {
    this.#frame++
    this.#bytes += bytes
    if (this.#saving || this.#retry) return
    const { pace } = this.#shared
    const reason = pace.isDue(this.#frame - this.#begun, this.#bytes, this.#room)
    if (reason) this.save(reason)
  }

  /** Saves the state after the frames so far. */
  save(reason: Reason): void {
    if (this.#isOver) return
    if (this.#saving) {
      if (this.#saving.frame < this.#frame) this.#next ??= reason
    } else if (this.#saved === this.#frame) this.#confirm()
    else this.#begin(reason)
  }

  /**
   * Handles the message of the client that it has the answers of so many frames.
   * @throws TrecvitError if the number is none of this stream
   */
  answered(count: unknown): void {
    if (!isInteger(count, 0))
      throw new TrecvitError(`"answered" expected a number of frames, got ${shown(count)}`)
    const saving = this.#saving
    if (!saving || saving.isConfirmed || count < saving.frame) return
    saving.isConfirmed = true
    void this.#write(saving)
  }

  /** Saves the state. Resolves when it is saved. */
  flush(): Promise<void> {
    return new Promise((done) => {
      this.#flushing.push({ frame: this.#frame, done })
      this.save('shutdown')
    })
  }

  /** Deletes the state. Returns the number of frames. */
  async end(): Promise<number> {
    this.#isOver = true
    await this.#owned.end().catch((error: unknown) => {
      // The state is still there: release() lets another connection own it.
      this.#isOver = false
      throw error
    })
    return this.#frame
  }

  /** Lets another connection go on. What was not saved is sent to it again. */
  async release(): Promise<void> {
    clearTimeout(this.#retry)
    for (const { done } of this.#flushing.splice(0)) done()
    if (this.#isOver) return
    this.#isOver = true
    await this.#owned.release()
  }

  #begin(reason: Reason): void {
    const start = performance.now()
    const frame = (this.#begun = this.#frame)
    this.#bytes = 0
    const { dtype } = this.#shared
    const snapshot = this.stream.snapshot({ dtype }).then((bytes) => {
      return { bytes, milliseconds: performance.now() - start }
    })
    snapshot.catch(() => {})
    this.#saving = { frame, reason, snapshot, isConfirmed: false }
    this.#client.send({ saving: frame })
  }

  async #write({ frame, reason, snapshot }: Saving): Promise<void> {
    const { pace, counts } = this.#shared
    try {
      const { bytes, milliseconds } = await snapshot
      const start = performance.now()
      await this.#owned.save(frame, bytes)
      const cost = milliseconds + performance.now() - start
      pace.saved(cost)
      counts.saved(reason, bytes.length, cost / 1000)
      this.#saved = frame
    } catch (error) {
      counts.failed(error)
      if (error instanceof TakenOverError) {
        this.#isOver = true
        return this.#client.fail(error)
      }
      // The client keeps its frames, so nothing is lost meanwhile.
      if (!this.#isOver)
        this.#retry = setTimeout(() => {
          this.#retry = undefined
          this.save(reason)
        }, RETRY)
    }
    this.#saving = undefined
    if (this.#isOver) return
    if (this.#saved === frame) this.#confirm()
    const next = this.#next
    this.#next = undefined
    if (next && !this.#retry) this.save(next)
  }

  #confirm(): void {
    this.#client.send({ saved: this.#saved })
    const done = this.#flushing.filter(({ frame }) => frame <= this.#saved)
    for (const one of done) {
      this.#flushing.splice(this.#flushing.indexOf(one), 1)
      one.done()
    }
  }
}
