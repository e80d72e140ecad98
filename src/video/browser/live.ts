/**
 * Frames of a live source at its own pace, of which the newest wait.
 */
import { TrecvitError } from '../../base/error.ts'
import type { Frame } from '../frame.ts'

/** Options for a live source. */
export interface LiveOptions {
  /**
   * Frames that may wait while the loop works with one, 1 to 8. When another frame comes, the
   * oldest is dropped. Default 1: the loop always gets the newest frame.
   */
  readonly queue?: number
  /** Ends the frames with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Frames of a camera, a screen or a `<video>`, from the start of the loop on. They can be walked
 * through once. The frames are copies and need not be closed. Leaving the loop, the end of the
 * track, an error and `close` all free the source.
 */
export interface Live extends AsyncIterable<Frame> {
  /** Frames that came since the loop began and were not given to it. */
  readonly dropped: number
  /** Frees the source; the loop ends as if the track did. May be called more than once. */
  close(): Promise<void>
  /** Same as `close`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A frame that waits. It is closed once, copied or not. */
export interface Waiting {
  copy(): Promise<Frame>
  close(): void
}

/** What a source calls. */
export interface Sink {
  offer(frame: Waiting): void
  /** Frames were lost before they could be offered. */
  miss(count: number): void
  /** No more frames come; the reason, if it is an error. */
  end(error?: unknown): void
}

/** Frames that may wait: browsers lend only so many. */
const MOST = 8

export class LiveFrames implements Live {
  readonly #open: (sink: Sink) => () => void
  readonly #free: () => void
  readonly #queue: number
  readonly #signal: AbortSignal | undefined
  readonly #waiting: Waiting[] = []
  #dropped = 0
  #stop: (() => void) | undefined
  #used = false
  #ended = false
  #closed = false
  #error: unknown
  #wake = (): void => {}

  /**
   * @param open begins to offer frames; returns what ends that
   * @param free called once, when everything is over
   * @throws TrecvitError if an option is wrong
   * @throws the reason of a signal that is already aborted
   */
  constructor(
    open: (sink: Sink) => () => void,
    { queue = 1, signal }: LiveOptions,
    free: () => void = () => {},
  ) {
    if (!Number.isInteger(queue) || queue < 1 || queue > MOST)
      throw new TrecvitError(`"queue" expected an integer from 1 to ${MOST}, got ${queue}`)
    signal?.throwIfAborted()
    this.#open = open
    this.#free = free
    this.#queue = queue
    this.#signal = signal
    signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get dropped(): number {
    return this.#dropped
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.asyncIterator](): AsyncIterator<Frame, undefined> {
    if (this.#closed) throw new TrecvitError('The live source was closed: open it again')
    if (this.#used) throw new TrecvitError('A live source can be read once: open it again')
    this.#used = true
    this.#stop = this.#open({
      offer: (frame) => this.#offer(frame),
      miss: (count) => (this.#dropped += count),
      end: (error) => this.#end(error),
    })
    // It may have ended while it was opened.
    if (this.#ended) this.#stop()
    let last: Promise<unknown> = Promise.resolve()
    return {
      next: () => {
        const result = last.then(() => this.#next())
        last = result.catch(() => {})
        return result
      },
      // Not in turn: a camera may never give the frame that is waited for.
      return: async () => {
        await this.close()
        return { value: undefined, done: true }
      },
    }
  }

  async #next(): Promise<IteratorResult<Frame, undefined>> {
    for (;;) {
      const frame = this.#waiting.shift()
      if (frame) {
        try {
          return { value: await frame.copy(), done: false }
        } catch (error) {
          this.#end(error)
        } finally {
          frame.close()
        }
      } else if (this.#ended) {
        await this.close()
        const error = this.#error
        this.#error = undefined
        if (error !== undefined) throw error
        return { value: undefined, done: true }
      } else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #offer(frame: Waiting): void {
    if (this.#ended) return frame.close()
    this.#waiting.push(frame)
    if (this.#waiting.length > this.#queue) {
      this.#waiting.shift()!.close()
      this.#dropped++
    }
    this.#wake()
  }

  readonly #abort = (): void => {
    this.#closed = true
    this.#end(this.#signal!.reason)
  }

  /** Frames that wait are given before the end, but not those of a source that was closed. */
  #end(error?: unknown): void {
    if (this.#closed || error !== undefined)
      for (const frame of this.#waiting.splice(0)) frame.close()
    if (!this.#ended) {
      this.#ended = true
      this.#error = error
      this.#signal?.removeEventListener('abort', this.#abort)
      this.#stop?.()
      this.#free()
    }
    this.#wake()
  }
}
