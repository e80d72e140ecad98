/** Number of submits that the estimate of the next duration is based on. */
const LATELY = 8
/**
 * Share of the estimated duration that is slept. The rest is polled, so that a shorter duration is
 * noticed.
 */
const SLEPT = 0.75

/**
 * Estimates how long to sleep until a submit is done, if similar submits follow each other. Times
 * are milliseconds of any one clock.
 */
export class Pace {
  /** Durations of the latest submits, at most LATELY. */
  readonly #took: number[] = []
  /** Number of unfinished submits. */
  #under = 0
  /** Estimated end of all unfinished submits. */
  #free = 0
  /** End of the submit that ended last. */
  #ended = 0

  /**
   * Called when a submit begins. Returns how long to sleep before polling for its results; 0 if a
   * timer is not worth it.
   */
  begin(now: number): number {
    this.#under++
    this.#free = Math.max(now, this.#free) + this.#takes
    return Math.max(0, Math.floor(this.#free - (1 - SLEPT) * this.#takes - now))
  }

  /**
   * Called when the first unfinished submit has ended.
   * @param began when it began
   */
  end(began: number, now: number): void {
    this.#took.push(now - Math.max(began, this.#ended))
    if (this.#took.length > LATELY) this.#took.shift()
    this.#ended = now
    this.#free = now + this.#takes * --this.#under
  }

  /** Estimated duration of a submit: the shortest of the latest ones, or 0 if there are too few. */
  get #takes(): number {
    return this.#took.length < LATELY ? 0 : Math.min(...this.#took)
  }
}
