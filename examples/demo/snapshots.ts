/** States of the stream on its way through a video, from which it can go on. */
import type { Stream } from 'trecvit'

/** Frames between two of them, at first. */
const SPACING = 30
/** Bytes of all of them, at most. */
const MOST = 64e6

interface Snapshot {
  readonly time: number
  readonly frame: number
  readonly bytes: Uint8Array
}

export class Snapshots {
  #all: Snapshot[] = []
  #spacing = SPACING

  /** Takes one if it is due after this frame. */
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

  /** The latest one after a frame before this time. */
  before(time: number): Snapshot | undefined {
    return this.#all.findLast((one) => one.time < time)
  }

  clear(): void {
    this.#all = []
    this.#spacing = SPACING
  }
}
