/**
 * The streams with ids of a server. They are opened here, over WebSockets and for requests, and
 * saved before the server ends.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { TrecvitError } from '../../../base/error.ts'
import { quote } from '../../../base/quote.ts'
import type { TRecViT } from '../../../model/trecvit.ts'
import type { Average } from '../../../program/program.ts'
import type { StateDType } from '../../../stream/snapshotHeader.ts'
import { UnavailableError } from '../health.ts'
import { Counts } from './counts.ts'
import { Pace, type Room } from './pace.ts'
import { type Client, Sequence } from './sequence.ts'
import type { Owned, StateStore } from './store.ts'

/** Options of the streams with ids. */
export interface SequencesOptions {
  readonly store: StateStore
  /** Number format of saved states, 'f32' by default: exact. */
  readonly dtype?: StateDType
  /** Milliseconds to wait for the owner of a stream and for the store. */
  readonly timeout: number
  /** Called with unhandled errors. */
  readonly onError: (error: unknown) => void
}

/** A stream that is asked for. */
export interface Asked {
  readonly id: string
  /** Secret of the client; empty for none. */
  readonly key: string
  readonly start: boolean
}

/** Milliseconds between two attempts to get a stream from its owner. */
const ASK_AGAIN = 250

export class Sequences {
  readonly counts: Counts
  readonly #options: SequencesOptions
  readonly #paces = new Map<string, Pace>()
  readonly #open = new Set<Sequence>()
  readonly #releases = new Set<Promise<void>>()

  constructor(options: SequencesOptions) {
    this.#options = options
    this.counts = new Counts(options.onError)
  }

  /** Number of streams with ids that are open. */
  get open(): number {
    return this.#open.size
  }

  /** Number format of saved states. */
  get dtype(): StateDType {
    return this.#options.dtype ?? 'f32'
  }

  /** Whether states can be saved now. */
  get isUp(): boolean {
    return this.#options.store.isUp
  }

  /** Returns what measures the frames of a model. */
  pace(model: string): Pace {
    const pace = this.#paces.get(model) ?? new Pace()
    this.#paces.set(model, pace)
    return pace
  }

  /**
   * Becomes the owner of a stream. Waits for another owner, in case that it is lost.
   * @throws TrecvitError if the stream was not started, or is of another model
   * @throws UnavailableError if the stream stays open elsewhere, or the store does not answer
   * @throws the reason of the signal
   */
  async claim(model: TRecViT, name: string, asked: Asked, signal?: AbortSignal): Promise<Owned> {
    const { store, timeout } = this.#options
    const claim = { ...asked, model: name, fingerprint: model.fingerprint }
    const end = performance.now() + timeout
    for (;;) {
      signal?.throwIfAborted()
      const opening = store.open(claim)
      const answer = await this.inTime(opening).catch((error: unknown) => {
        // Nobody would use a stream that the store opens later.
        opening.then(
          (late) => 'save' in Object(late) && this.release(late as Owned),
          () => {},
        )
        throw error
      })
      if ('save' in Object(answer)) return answer as Owned
      const refusal = answer as Exclude<typeof answer, Owned>
      const stream = `Stream ${quote(asked.id)}`
      if (refusal === 'unknown')
        throw new TrecvitError(
          `${stream} is unknown; start it with "sequence_start": true` +
            (store.isShared ? '' : ', or start the servers with the same "--state"'),
        )
      if ('fingerprint' in refusal)
        throw new TrecvitError(
          `${stream} was started with model ${refusal.fingerprint}, and ${quote(name)} is ` +
            `${model.fingerprint}; load that model, or start the stream again`,
        )
      // The other connection may be that of a machine which has lost its network.
      if (performance.now() > end)
        throw new UnavailableError(`${stream} is open at another connection; close that one first`)
      await sleep(Math.min(ASK_AGAIN, refusal.heldFor + 1))
    }
  }

  /**
   * Opens a stream for a connection.
   * @param average of a new stream; a stream that goes on keeps its own
   * @throws TrecvitError and UnavailableError as `claim` does
   */
  async openStream(
    model: TRecViT,
    name: string,
    asked: Asked,
    options: { readonly average: Average; readonly topK: number; readonly room: Room },
    client: Client,
  ): Promise<Sequence> {
    const owned = await this.claim(model, name, asked)
    try {
      const { average, topK, room } = options
      const stream = await (owned.state
        ? model.resume(owned.state, { topK })
        : model.stream({ average, topK }))
      // From now on the stream can go on elsewhere, with its average.
      const pace = this.pace(name)
      if (!owned.state) {
        const start = performance.now()
        await this.save(owned, 0, await stream.snapshot())
        pace.saved(performance.now() - start)
      }
      const shared = {
        pace,
        dtype: this.dtype,
        counts: this.counts,
      }
      const sequence = new Sequence(stream, owned, shared, client, room)
      this.#open.add(sequence)
      return sequence
    } catch (error) {
      this.release(owned)
      throw error
    }
  }

  /**
   * Saves a state at once.
   * @throws UnavailableError if the store does not answer, or the stream has another owner
   */
  async save(owned: Owned, frame: number, state: Uint8Array): Promise<void> {
    const start = performance.now()
    await this.inTime(owned.save(frame, state))
    this.counts.saved('request', state.length, (performance.now() - start) / 1000)
  }

  /** Ends the connection of a stream: frees it, and lets another connection go on. */
  async close(sequence: Sequence): Promise<void> {
    this.#open.delete(sequence)
    await sequence.stream.dispose()
    this.release(sequence)
  }

  /** Lets others own a stream. Nobody waits for it, in case that the store cannot be reached. */
  release(owned: { release(): Promise<void> }): void {
    const work = owned
      .release()
      .catch((error: unknown) => this.counts.failed(error))
      .finally(() => this.#releases.delete(work))
    this.#releases.add(work)
  }

  /** Saves all streams, as far as their clients answer within so many milliseconds. */
  saveAll(milliseconds: number): Promise<void> {
    return within(
      milliseconds,
      [...this.#open].map((sequence) => sequence.flush()),
    )
  }

  /** Waits at most so many milliseconds for what is under way, then closes the store. */
  async end(milliseconds: number): Promise<void> {
    await within(milliseconds, [...this.#releases])
    await this.#options.store.close()
  }

  /**
   * Waits for the store.
   * @throws UnavailableError if it does not answer in time
   */
  async inTime<T>(work: Promise<T>): Promise<T> {
    const late = new AbortController()
    const { timeout } = this.#options
    const lateness = sleep(timeout, null, { signal: late.signal }).then(() => {
      throw new UnavailableError(
        `The states of streams cannot be reached for ${timeout / 1000} s; try again later`,
      )
    })
    lateness.catch(() => {})
    try {
      return await Promise.race([work, lateness])
    } finally {
      late.abort()
      work.catch(() => {})
    }
  }
}

/** Waits for work, at most so many milliseconds. */
async function within(milliseconds: number, work: readonly Promise<void>[]): Promise<void> {
  const late = new AbortController()
  const lateness = sleep(milliseconds, undefined, { signal: late.signal }).catch(() => {})
  await Promise.race([Promise.all(work), lateness])
  late.abort()
}
