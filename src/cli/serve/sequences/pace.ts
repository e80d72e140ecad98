/**
 * When the state of a stream is saved: as often as its cost allows. A save follows after so many
 * frames that it takes at most SHARE of their time. The client keeps the frames until then, so a
 * state is saved earlier when the client has no room for more.
 */

/** Largest share of the time of a stream for saving its state. */
const SHARE = 0.03
/** Frames between two saves at least: the messages of a save cost something, too. */
const LEAST_FRAMES = 8
/** Part of a client's room after which a state is saved anyway. The save needs the other part. */
const FULL = 0.5
/** Recent measurements of which the lowest counts: the others include what else the machine did. */
const RECENT = 16
/** Frames of one measurement. */
const FRAMES = 32

/** Frames, and bytes of frames, that a client can keep until they are saved. */
export interface Room {
  readonly frames: number
  readonly bytes: number
}

/** Room of a client that does not tell it. */
export const LEAST_ROOM: Room = { frames: 128, bytes: 2 ** 25 }

/** Why a state is saved. */
export type Reason = 'cost' | 'bound' | 'request' | 'shutdown'

/** Measures frames and saves of all streams of a model at a server. */
export class Pace {
  #active = 0
  #since = 0
  #busy = 0
  #frames = 0
  readonly #frameTimes: number[] = []
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
      if (++this.#frames < FRAMES) return
      add(this.#frameTimes, this.#busy / this.#frames)
      this.#busy = this.#frames = 0
    }
  }

  /** Records the milliseconds of a save. */
  saved(cost: number): void {
    add(this.#costs, cost)
  }

  /** Returns why a stream is to be saved after so many frames and bytes, or null. */
  isDue(frames: number, bytes: number, room: Room): 'cost' | 'bound' | null {
    // Without a measurement only the room counts.
    const isKnown = this.#frameTimes.length > 0 && this.#costs.length > 0
    const time = frames * Math.min(...this.#frameTimes)
    if (isKnown && frames >= LEAST_FRAMES && SHARE * time >= Math.min(...this.#costs)) return 'cost'
    return frames >= FULL * room.frames || bytes >= FULL * room.bytes ? 'bound' : null
  }
}

/** Adds a measurement, and drops the oldest. */
function add(measurements: number[], value: number): void {
  measurements.push(value)
  if (measurements.length > RECENT) measurements.shift()
}
