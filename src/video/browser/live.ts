/**
 * Frames of a live source. If the loop is slow, the newest frames are queued and older ones
 * dropped.
 */
import { TrecvitError } from '../../base/error.ts'
import type { Frame } from '../frame.ts'

/** Options for a live source. */
export interface LiveOptions {
  /**
   * Largest number of queued frames, 1 to 8. A new frame drops the oldest one of a full queue.
   * Default 1: the loop always gets the newest frame.
   */
  readonly queue?: number
  /** Stops the frames. The loop throws the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Frames of a camera, a screen or a `<video>`, from the start of the loop on. They can be iterated
 * once. The frames are copies and need not be closed. Leaving the loop, the end of the track, an
 * error and `close` free the source.
 */
export interface Live extends AsyncIterable<Frame> {
  /** Number of frames that arrived during the loop and were dropped. */
  readonly dropped: number
  /** Frees the source. The loop ends as at the end of the track. Can be called more than once. */
  close(): Promise<void>
  /** Same as `close`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A queued frame. It is closed exactly once, whether it was copied or not. */
export interface Waiting {
  copy(): Promise<Frame>
  close(): void
}

/** Callbacks for a source. */
export interface Sink {
  offer(frame: Waiting): void
  /** Reports frames that were lost before they could be offered. */
  miss(count: number): void
  /** Reports that no more frames follow, with the error if there was one. */
  end(error?: unknown): void
}

/** Longest queue. Browsers provide only a limited number of frames at a time. */
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
   * @param open starts to offer frames; returns a function that stops it
   * @param free called once, at the end
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
    // The source may have ended while it was opened.
    if (this.#ended) this.#stop()
    let last: Promise<unknown> = Promise.resolve()
    return {
      next: () => {
        const result = last.then(() => this.#next())
        last = result.catch(() => {})
        return result
      },
      // Does not wait for a pending `next`: a camera may never deliver that frame.
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

  /** Queued frames are delivered before the end, except after `close`. */
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
