/**
 * When the state of a stream is saved: as often as its cost allows. A save follows after so many
 * frames that it takes at most SHARE of their time.
 */

/** Largest share of the time of a stream for saving its state. */
const SHARE = 0.03
/** Frames between two saves at least: the messages of a save cost something, too. */
const LEAST_FRAMES = 8
/** Frames and bytes of frames after which a state is saved anyway: the client keeps them. */
const MOST_FRAMES = 64
const MOST_BYTES = 2 ** 24
/** Costs from which the lowest is taken. Others include the time of streams that ran meanwhile. */
const COSTS = 16
/** Frames after which the time of older frames counts half. */
const HALVED = 64

/** Why a state is saved. */
export type Reason = 'cost' | 'bound' | 'request' | 'shutdown'

/** Measures frames and saves of all streams of a model at a server. */
export class Pace {
  #active = 0
  #since = 0
  #busy = 0
  #frames = 0
  readonly #costs: number[] = []

  /** Begins a frame. Call the returned function at its end. */
  begin(): () => void {
    if (this.#active++ === 0) this.#since = performance.now()
    return () => {
      const now = performance.now()
      this.#active--
      // Frames of several streams overlap: the time of a frame is busy time by number of frames.
      this.#busy += now - this.#since
      this.#since = now
      if (++this.#frames < 2 * HALVED) return
      this.#frames /= 2
      this.#busy /= 2
    }
  }

  /** Records the milliseconds of a save. */
  saved(cost: number): void {
    this.#costs.push(cost)
    if (this.#costs.length > COSTS) this.#costs.shift()
  }

  /** Returns why a stream is to be saved after so many frames and bytes, or null. */
  isDue(frames: number, bytes: number): 'cost' | 'bound' | null {
    const frameTime = this.#busy / Math.max(1, this.#frames)
    // Before the first save its cost is unknown; the bound then applies.
    const cost = this.#costs.length ? Math.min(...this.#costs) : Infinity
    if (frames >= LEAST_FRAMES && frames * frameTime * SHARE >= cost) return 'cost'
    return frames >= MOST_FRAMES || bytes >= MOST_BYTES ? 'bound' : null
  }
}
