/** Snapshots of the stream along a video, for seeking. */
import type { Stream } from 'trecvit'

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

  /** Takes a snapshot if one is due after this frame. */
  async take(time: number, stream: Stream): Promise<void> {
    const { frame } = stream
    if (frame % this.#spacing !== 0 || frame <= (this.#all.at(-1)?.frame ?? 0)) return
    const bytes = await stream.snapshot()
    if (bytes.length > MOST / 2) return
    this.#all.push({ time, frame, bytes })
    if (this.#all.length * bytes.length <= MOST) return
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
