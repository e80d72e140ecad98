/** Pushes frames into the stream, and posts their answers in order. */
import type { Class } from 'trecvit'
import type { Frame } from 'trecvit/video'
import type { Engine } from './engine.ts'
import type { Insight } from './insight.ts'
import type { Snapshots } from './snapshots.ts'
import { post } from './turns.ts'

/** Work that belongs to a frame. */
interface Extras {
  /** The picture for the page, or null. */
  readonly bitmap: ImageBitmap | null
  /** Whether to compute a map. */
  readonly looks: boolean
  /** Whether to take a snapshot after the frame. */
  readonly saves: boolean
}

export class Pusher {
  readonly #engine: Engine
  readonly #insight: Insight
  readonly #snapshots: Snapshots
  /** Time of the last answer in milliseconds, on the clock of `performance.now()`. */
  #answered = 0
  #overall: readonly Class[] = []

  constructor(engine: Engine, insight: Insight, snapshots: Snapshots) {
    this.#engine = engine
    this.#insight = insight
    this.#snapshots = snapshots
  }

  /** Mean answer over all frames. */
  get overall(): readonly Class[] {
    return this.#overall
  }

  /**
   * Pushes a frame. The next one may be pushed before this one is answered.
   * @returns a promise that resolves after the answer, the map and the snapshot
   */
  async push(frame: Frame, { bitmap, looks, saves }: Extras): Promise<void> {
    const { stream } = this.#engine
    const { time } = frame
    // Queued without waiting, so that the snapshots are of the states around this frame.
    const pushed = performance.now()
    const before = looks ? stream.snapshot().catch(warn) : undefined
    const answer = stream.push(frame)
    const after = saves ? stream.snapshot().catch(warn) : undefined
    const { frame: index, top, overall } = await answer
    const answered = performance.now()
    // A frame waits for the one before it.
    const milliseconds = answered - Math.max(pushed, this.#answered)
    this.#answered = answered
    this.#overall = overall.top
    this.#engine.watchDevice()
    post({ type: 'answer', frame: index, time, top, milliseconds, bitmap }, bitmap ? [bitmap] : [])
    const bytes = await after
    if (bytes) this.#snapshots.add({ time, frame: index + 1, bytes })
    const state = await before
    if (state) await this.#insight.take(state, frame).catch(warn)
  }
}

/**
 * A device may be lost during a map or a snapshot. The stream recovers, and the next one succeeds.
 */
function warn(error: unknown): undefined {
  console.warn(error)
}
