/** How many works in a row tell how long the next takes. */
const LATELY = 8
/**
 * Of the time that a work takes, what is slept through. The rest is looked for, so that what has
 * become faster is seen to be.
 */
const SLEPT = 0.75

/**
 * How long to leave alone a work that is done again and again, one after another. Times are
 * milliseconds of any one clock.
 */
export class Pace {
  /** What each of the latest works took, at most LATELY. */
  readonly #took: number[] = []
  /** Works begun and not ended. */
  #under = 0
  /** When they are likely to have ended. */
  #free = 0
  /** When the latest work to end did. */
  #ended = 0

  /**
   * A work begins. Returns how long one may sleep before one looks for its results; 0 if that is
   * not worth a timer.
   */
  begin(now: number): number {
    this.#under++
    this.#free = Math.max(now, this.#free) + this.#takes
    return Math.max(0, Math.floor(this.#free - (1 - SLEPT) * this.#takes - now))
  }

  /** The first of the works under way, begun then, has ended. */
  end(began: number, now: number): void {
    this.#took.push(now - Math.max(began, this.#ended))
    if (this.#took.length > LATELY) this.#took.shift()
    this.#ended = now
    this.#free = now + this.#takes * --this.#under
  }

  /** What a work is likely to take: the least that any took lately, 0 until enough have ended. */
  get #takes(): number {
    return this.#took.length < LATELY ? 0 : Math.min(...this.#took)
  }
}
