/** Keeps how far a job has come in Redis, so that another worker can go on from there. */
import type { Archive } from './archive.ts'

/** Largest share of the time that saving may take. */
const SHARE = 0.03
/** Longest pause between two saves, in milliseconds. */
const MOST = 5 * 60 * 1000
/** Recent saves of which the cheapest counts: others may have waited for a Redis that was lost. */
const RECENT = 16
/** Time after which a saved state expires, in milliseconds. */
const EXPIRY = 24 * 3600 * 1000

/** How far a job has come. */
export interface Saved<State> {
  /** Frames that are done. */
  readonly frames: number
  readonly state: State
  /** The stream after these frames. */
  readonly snapshot: Uint8Array
}

/**
 * How often a worker saves states. It knows the cost from earlier jobs, so that many short jobs do
 * not pay for a state each.
 */
export class Pace {
  /** Milliseconds between two saved states of a job. */
  pause: number
  readonly #least: number
  readonly #costs: number[] = []

  /** @param least of the pause */
  constructor(least: number) {
    this.pause = this.#least = least
  }

  /** Records the milliseconds of a save. */
  saved(cost: number): void {
    this.#costs.push(cost)
    if (this.#costs.length > RECENT) this.#costs.shift()
    const most = Math.max(this.#least, MOST)
    this.pause = Math.min(most, Math.max(this.#least, Math.min(...this.#costs) / SHARE))
  }
}

/** Options of a keeper. */
export interface KeeperOptions {
  readonly pace: Pace
  /** Called if a state cannot be saved. The job goes on without. */
  onError(error: unknown): void
}

/** Keeps the states of one job. */
export class Keeper<State> {
  /** Where to continue, or null. */
  from: Saved<State> | null
  readonly #archive: Pick<Archive, 'save'>
  readonly #id: string
  readonly #options: KeeperOptions
  /** When the job began, or its last save ended. */
  #last = performance.now()
  #saving = false

  /** @param saved what `Archive.state` returned */
  constructor(
    archive: Pick<Archive, 'save'>,
    id: string,
    saved: Readonly<Record<string, Buffer>>,
    options: KeeperOptions,
  ) {
    this.#archive = archive
    this.#id = id
    this.#options = options
    const { progress, snapshot } = saved
    const parsed = progress && (JSON.parse(progress.toString()) as Omit<Saved<State>, 'snapshot'>)
    // A copy: the slice() of a Buffer would be a view.
    this.from = parsed && snapshot ? { ...parsed, snapshot: new Uint8Array(snapshot) } : null
  }

  /** Whether the state should be saved now. */
  get isDue(): boolean {
    return !this.#saving && performance.now() - this.#last >= this.#options.pace.pause
  }

  /**
   * Saves the state after so many frames. An error is reported, and not thrown.
   */
  async save(frames: number, state: State, snapshot: Promise<Uint8Array>): Promise<void> {
    this.#saving = true
    const start = performance.now()
    try {
      const { buffer, byteOffset, byteLength } = await snapshot
      const fields = {
        progress: JSON.stringify({ frames, state }),
        snapshot: Buffer.from(buffer, byteOffset, byteLength),
      }
      await this.#archive.save(this.#id, fields, EXPIRY)
    } catch (error) {
      this.#options.onError(error)
    }
    this.#last = performance.now()
    this.#options.pace.saved(this.#last - start)
    this.#saving = false
  }
}
