/** Number of submits that the estimate of the next duration is based on. */
const RECENT = 8
/**
 * Share of the estimated duration that is slept. The rest is polled, so that a shorter duration is
 * noticed.
 */
const SLEPT_SHARE = 0.75

/**
 * Estimates how long to sleep until a submit is done, if similar submits follow each other. Times
 * are milliseconds of any one clock.
 */
export class Pace {
  /** Durations of the latest submits, at most RECENT. */
  readonly #durations: number[] = []
  /** Number of unfinished submits. */
  #unfinished = 0
  /** Estimated end of all unfinished submits. */
  #endOfAll = 0
  /** End of the submit that ended last. */
  #lastEnd = 0

  /**
   * Called when a submit begins. Returns how long to sleep before polling for its results; 0 if a
   * timer is not worth it.
   */
  begin(now: number): number {
    this.#unfinished++
    this.#endOfAll = Math.max(now, this.#endOfAll) + this.#expected
    return Math.max(0, Math.floor(this.#endOfAll - (1 - SLEPT_SHARE) * this.#expected - now))
  }

  /**
   * Called when the first unfinished submit has ended.
   * @param began when it began
   */
  end(began: number, now: number): void {
    this.#durations.push(now - Math.max(began, this.#lastEnd))
    if (this.#durations.length > RECENT) this.#durations.shift()
    this.#lastEnd = now
    this.#endOfAll = now + this.#expected * --this.#unfinished
  }

  /** Estimated duration of a submit: the shortest of the latest ones, or 0 if there are too few. */
  get #expected(): number {
    return this.#durations.length < RECENT ? 0 : Math.min(...this.#durations)
  }
}
