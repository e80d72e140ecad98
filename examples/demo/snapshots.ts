/** Snapshots of the stream along a video, for seeking. */
/** Initial number of frames between two snapshots. */
const SPACING = 30
/** Largest size of all snapshots, in bytes. */
const MOST = 64e6

interface Snapshot {
  readonly time: number
  readonly frame: number
  readonly bytes: Uint8Array
}

export class Snapshots {
  #all: Snapshot[] = []
  #spacing = SPACING

  /** Whether a snapshot is due after so many frames. */
  isDue(frames: number): boolean {
    return frames % this.#spacing === 0 && frames > (this.#all.at(-1)?.frame ?? 0)
  }

  /** Adds the snapshot after a frame. */
  add(one: Snapshot): void {
    const { length } = one.bytes
    if (length > MOST / 2) return
    this.#all.push(one)
    if (this.#all.length * length <= MOST) return
    this.#spacing *= 2
    this.#all = this.#all.filter(({ frame }) => frame % this.#spacing === 0)
  }

  /** Returns the latest snapshot before this time. */
  before(time: number): Snapshot | undefined {
    return this.#all.findLast((one) => one.time < time)
  }

  clear(): void {
    this.#all = []
    this.#spacing = SPACING
  }
}
